"""Preparation of mammograms: the breast is found, nothing but the breast is kept, and positions and values lead back."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy import ndimage

from bayescope.data.preparation.mammogram import WHITE, Preparation, Prepared, Record
from bayescope.errors import ConfigError, DataError
from mammograms import mammogram


def true_box(height: int, width: int, reach: float = 0.6) -> np.ndarray:
    return np.array([0.1 * height, 0, 0.9 * height, reach * width])


def stored_values(prepared: Prepared, values: ArrayLike) -> np.ndarray:
    """Prepared values in the units of the original."""
    record = prepared.record
    return record.low + np.asarray(values, dtype=np.float64) * ((record.high - record.low) / WHITE)


@settings(max_examples=15, deadline=None)
@given(st.integers(150, 700), st.integers(150, 700), st.floats(0.4, 0.9), st.integers(0, 99))
def test_the_breast_is_found(height: int, width: int, reach: float, seed: int) -> None:
    record = Preparation(64).apply(mammogram(height, width, seed=seed, reach=reach)).record
    assert (record.breast_found, record.chest_wall, record.flipped) == (True, "left", False)
    margin = 6 * max(height, width) / 256 + 2
    off = (np.array(record.box) - true_box(height, width, reach)) * [-1, -1, 1, 1]
    assert (off > -margin).all()
    assert (off < margin).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(150, 700), st.integers(150, 700), st.integers(0, 99), st.booleans())
def test_a_mirrored_image_is_prepared_the_same(height: int, width: int, seed: int, clahe: bool) -> None:
    image = mammogram(height, width, seed=seed)
    preparation = Preparation(96, clahe=clahe)
    left, right = preparation.apply(image), preparation.apply(image[:, ::-1])
    np.testing.assert_array_equal(left.pixels, right.pixels)
    assert (left.record.flipped, right.record.flipped, right.record.chest_wall) == (False, True, "right")
    point = np.array([0.5 * height, 0.25 * width])
    np.testing.assert_allclose(left.record.to_prepared(point), right.record.to_prepared([point[0], width - point[1]]))


@settings(max_examples=20, deadline=None)
@given(st.integers(100, 500), st.integers(100, 500), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 99))
def test_positions_lead_there_and_back(height: int, width: int, crop: bool, orient: bool, mirror: bool, seed: int) -> None:
    image = mammogram(height, width)[:, :: -1 if mirror else 1]
    record = Preparation(64, crop=crop, orient=orient).apply(image).record
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, [height, width], (5, 2))
    np.testing.assert_allclose(record.to_original(record.to_prepared(points)), points)
    box = np.sort(rng.uniform(0, [height, width], (2, 2)), axis=0).ravel()
    prepared = record.box_to_prepared(box)
    assert (prepared[:2] <= prepared[2:]).all()
    np.testing.assert_allclose(record.box_to_original(prepared), box, atol=1e-9)


@pytest.mark.parametrize("mirror", [False, True])
def test_a_speck_lies_where_the_record_says(mirror: bool) -> None:
    image = ndimage.uniform_filter(mammogram(900, 700), 5)
    image[300:310, 200:210] = 4000
    box = np.array([300, 200, 310, 210])
    if mirror:
        image, box = image[:, ::-1], np.array([300, 490, 310, 500])
    prepared = Preparation(256, high_percentile=100).apply(image)
    brightest = np.array(np.unravel_index(prepared.pixels.argmax(), prepared.pixels.shape)) + 0.5
    np.testing.assert_allclose(prepared.record.to_original(brightest), (box[:2] + box[2:]) / 2, atol=3)


@pytest.mark.parametrize("side", [1, -1])
def test_label_and_scanner_borders_are_gone(side: int) -> None:
    plain = mammogram(900, 700)
    marked = plain.copy()
    marked[60:110, 560:660] = 4095  # far from the breast
    marked[100:140, 330:390] = 4095  # within its box
    marked[:12] = marked[-20:] = 4095
    marked[:, :14] = marked[:, -9:] = 4090
    record = (prepared := Preparation(128).apply(marked[:, ::side])).record
    np.testing.assert_allclose(record.box[2:], Preparation(128).apply(plain).record.box[2:], atol=15)
    assert record.box[1] in range(14, 21)
    assert record.flipped == (side == -1)
    label = record.box_to_prepared([100, 330, 140, 390] if side == 1 else [100, 310, 140, 370]).round().astype(int)
    assert (prepared.pixels[label[0] : label[2], label[1] : label[3]] == 0).all()
    assert record.high < 3000


def test_a_chest_wall_off_the_edge_is_told_by_the_shape() -> None:
    image = np.pad(mammogram(400, 300), [(0, 0), (40, 100)], constant_values=20)
    assert Preparation(64).apply(image).record.chest_wall == "left"
    assert Preparation(64).apply(image[:, ::-1]).record.chest_wall == "right"


def test_tissue_all_over_is_kept_whole() -> None:
    texture = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(300, 200)), 5) * 2000 + 1000
    record = Preparation(64).apply(texture.astype(np.uint16)).record
    assert (record.breast_found, record.box, record.chest_wall, record.inner) == (False, (0, 0, 300, 200), None, (64, 43))


def test_crop_and_orient_can_be_left_out() -> None:
    image = mammogram(400, 300)[:, ::-1]
    record = Preparation(80, crop=False).apply(image).record
    assert (record.box, record.inner, record.offset, record.flipped) == ((0, 0, 400, 300), (80, 60), (0, 0), True)
    record = Preparation(80, crop=False, orient=False).apply(image).record
    assert (record.offset, record.flipped) == ((0, 10), False)
    record = Preparation(80, orient=False).apply(image).record
    assert (record.flipped, record.chest_wall) == (False, "right")


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 2**16 - 1), st.integers(0, 99))
def test_values_lead_back_and_no_bit_is_lost(top: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, top, (32, 32), endpoint=True).astype(np.uint16)
    image[0, :2] = 0, top
    preparation = Preparation(32, crop=False, orient=False, low_percentile=0, high_percentile=100)
    prepared = preparation.apply(image)
    np.testing.assert_allclose(stored_values(prepared, prepared.pixels), image, atol=0.51 * top / WHITE)
    assert len(np.unique(prepared.pixels)) == len(np.unique(image))


def test_percentiles_clip_the_extremes_only() -> None:
    image = np.random.default_rng(0).normal(1000, 50, (64, 64)).astype(np.float32)
    image[5, 5], image[6, 6] = 1e6, -1e6
    record = (prepared := Preparation(64, crop=False, orient=False).apply(image)).record
    assert 800 < record.low < 900 < 1100 < record.high < 1200
    assert (prepared.pixels[5, 5], prepared.pixels[6, 6]) == (WHITE, 0)


def test_resize_is_antialiased() -> None:
    image = np.zeros((512, 512), np.uint16)
    image[:, ::2] = 4000  # finer than the result can show
    image[:256] //= 2
    prepared = Preparation(100, crop=False, orient=False, low_percentile=0, high_percentile=100).apply(image)
    assert prepared.pixels[:45].std() < 0.02 * WHITE
    np.testing.assert_allclose(stored_values(prepared, prepared.pixels[60:, 5:-5].mean()), 2000, rtol=0.02)


def test_clahe_brings_out_faint_contrast_in_fine_steps() -> None:
    image = mammogram()
    plain, equalized = (Preparation(256, clahe=clahe).apply(image) for clahe in (False, True))
    assert len(np.unique(equalized.pixels)) > 2**10
    core = np.s_[100:156, 20:80]
    assert equalized.pixels[core].std() > 1.2 * plain.pixels[core].std()


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.float32, np.float64])
def test_any_real_type_is_prepared_alike(kind: type) -> None:
    image = mammogram() // 16
    np.testing.assert_array_equal(Preparation(64).apply(image.astype(kind)).pixels, Preparation(64).apply(image).pixels)


def test_the_callers_image_is_left_alone() -> None:
    image = mammogram().astype(np.float32)
    before = image.copy()
    Preparation(64, clahe=True).apply(image)
    np.testing.assert_array_equal(image, before)


def test_plain_values_survive_json() -> None:
    preparation = Preparation(64, clahe=True, low_percentile=1.0)
    assert Preparation.from_dict(json.loads(json.dumps(preparation.to_dict()))) == preparation
    record = preparation.apply(mammogram()).record
    assert Record.from_dict(json.loads(json.dumps(record.to_dict()))) == record
    with pytest.raises(ConfigError, match="colour"):
        Preparation.from_dict({"size": 64, "colour": True})


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.zeros((50, 40)), "one value only"),
        (np.full((50, 40), 7, np.uint16), "one value only"),
        (np.full((50, 40), np.nan), "not finite"),
        (np.array([[0, np.inf]]), "not finite"),
        (np.zeros((3, 50, 40)), "shape"),
        (np.zeros((0, 40)), "shape"),
        (np.array([["a"]]), "shape"),
    ],
)
def test_refused_with_a_reason(image: np.ndarray, reason: str) -> None:
    for preparation in (Preparation(64), Preparation(64, crop=False, orient=False, clahe=True)):
        with pytest.raises(DataError, match=rf"^case: .*{reason}"):
            preparation.apply(image, "case")


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32), st.booleans(), st.booleans())
def test_small_and_odd_images_are_prepared_or_refused(height: int, width: int, seed: int, crop: bool, clahe: bool) -> None:
    rng = np.random.default_rng(seed)
    image = rng.choice([0, 1, 60000], (height, width), p=rng.dirichlet(np.ones(3))).astype(np.uint16)
    try:
        prepared = Preparation(16, crop=crop, clahe=clahe).apply(image)
    except DataError:
        return
    assert prepared.pixels.shape == (16, 16)
    assert prepared.pixels.dtype == np.uint16


@pytest.mark.parametrize(
    "values",
    [{"size": 4}, {"size": 64, "low_percentile": 99.9}, {"size": 64, "high_percentile": 101}, {"size": 64, "clahe_clip": 0}],
)
def test_settings_out_of_range(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        Preparation(**values)
