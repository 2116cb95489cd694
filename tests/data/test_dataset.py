"""Image sets and the pixel scale."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayescope.data.dataset import Dataset, ImageSet, check_labels
from bayescope.data.pixel_scale import PixelScale
from bayescope.errors import DataError


@pytest.fixture
def images() -> ImageSet:
    pixels = np.arange(4 * 3 * 5 * 7, dtype=np.uint16).reshape(4, 3, 5, 7)
    return ImageSet(pixels, np.array([0, 1, 1, 0]), ("no", "yes"), ("a.png", "b.png", "c.png", "d.png"))


def test_shape_and_subset_in_the_order_asked(images: ImageSet) -> None:
    assert (len(images), images.n_classes, images.image_shape) == (4, 2, (3, 5, 7))
    part = images.subset([2, 0])
    np.testing.assert_array_equal(part.pixels, images.pixels[[2, 0]])
    assert part.labels.tolist() == [1, 0]
    assert part.names == ("c.png", "a.png")


def test_fingerprint_tells_pixels_labels_type_and_shape_apart(images: ImageSet) -> None:
    other_pixel = images.pixels.copy()
    other_pixel[3, 2, 4, 6] += 1
    versions = [
        images,
        dataclasses.replace(images, pixels=other_pixel),
        dataclasses.replace(images, labels=np.array([0, 1, 0, 1])),
        dataclasses.replace(images, pixels=images.pixels.reshape(4, 3, 7, 5)),
        dataclasses.replace(images, pixels=images.pixels.view(np.float16)),
    ]
    assert len({version.fingerprint() for version in versions}) == len(versions)
    # The same values laid out otherwise in memory are the same images.
    fortran = dataclasses.replace(images, pixels=np.asfortranarray(images.pixels))
    assert fortran.fingerprint() == images.fingerprint()


def test_fingerprint_of_a_dataset_tells_splits_apart(images: ImageSet) -> None:
    one, two = images.subset([0, 1]), images.subset([2, 3])
    assert Dataset(one, two, two, "x").fingerprint != Dataset(two, one, two, "x").fingerprint


@given(st.sampled_from([np.uint8, np.uint16]), st.integers(0, 2**32))
def test_display_undoes_the_scale_to_within_half_a_gray_level(kind: type, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, np.iinfo(kind).max, (2, 3, 5, 7), endpoint=True).astype(kind)
    pixels[0, 0, 0, 0] = np.iinfo(kind).max
    scale = PixelScale.of(pixels)
    shown = scale.to_display(scale.to_model(pixels))
    assert shown.shape == (2, 5, 7, 3)
    expected = np.moveaxis(pixels, 1, -1) * (255 / np.iinfo(kind).max)
    assert np.abs(shown - expected).max() <= 0.51


@pytest.mark.parametrize(("largest", "high"), [(0, 255), (255, 255), (256, 511), (4095, 4095), (4096, 8191), (65535, 65535)])
def test_sixteen_bit_scale_takes_the_fewest_bits_that_hold_the_maximum(largest: int, high: float) -> None:
    scale = PixelScale.of(np.array([0, largest], np.uint16).reshape(1, 1, 1, 2))
    assert (scale.low, scale.high) == (0, high)


def test_float_scale_is_mean_and_two_deviations_even_of_a_constant() -> None:
    pixels = np.random.default_rng(0).normal(7, 3, (50, 1, 20, 20)).astype(np.float32)
    model = PixelScale.of(pixels).to_model(pixels)
    assert model.dtype == np.float32
    assert model.mean() == pytest.approx(0, abs=1e-4)
    assert model.std() == pytest.approx(0.5, abs=1e-4)
    constant = np.full((1, 1, 2, 2), 5, np.float32)
    np.testing.assert_array_equal(PixelScale.of(constant).to_model(constant), 0)


def test_display_clips_and_drops_a_single_channel() -> None:
    shown = PixelScale(0, 255).to_display(np.array([-9.0, -1.0, 0.0, 1.0, 9.0]).reshape(1, 1, 1, 5))
    assert shown.dtype == np.uint8
    assert shown.tolist() == [[[0, 0, 128, 255, 255]]]


def test_every_class_needs_a_training_image() -> None:
    check_labels(np.array([0, 1]), ("a", "b"), "set")
    with pytest.raises(DataError, match=r"set: no training image of class b, d;"):
        check_labels(np.array([0, 2]), ("a", "b", "c", "d"), "set")
    with pytest.raises(DataError, match=r"one class only \(a\); expected two"):
        check_labels(np.array([0, 0]), ("a",), "set")
