"""Numbers in the units of the training images, or refused, or told of."""

import warnings

import numpy as np
import pytest

from bayescope.data.pixel_scale import PixelScale, unlike_training
from bayescope.data.units import in_training_units
from bayescope.errors import DataError
from bayescope.types import Pixels

BYTES = np.arange(256, dtype=np.uint8).reshape(2, 1, 8, 16)
UNIT = (BYTES / 255).astype(np.float32)
STANDARD = ((BYTES - BYTES.mean()) / BYTES.std()).astype(np.float32)
DEEP = BYTES.astype(np.uint16) * 16

SAME = [
    (BYTES, BYTES),
    (BYTES, BYTES.astype(np.int64)),
    (BYTES, BYTES.astype(np.int32)),
    (BYTES, BYTES.astype(np.float64)),
    (BYTES, BYTES.astype(np.float16)),
    (BYTES, (BYTES // 2).astype(np.int8)),
    (BYTES, np.zeros((1, 1, 2, 2))),
    (DEEP, DEEP),
    (DEEP, DEEP.astype(np.int64)),
    (DEEP, DEEP.astype(float)),
    (UNIT, UNIT),
    (UNIT, UNIT.astype(np.float64)),
    (BYTES.astype(np.float32), BYTES),
    (UNIT, BYTES > 9),
]


@pytest.mark.parametrize(("trained", "given"), SAME)
def test_the_same_numbers_in_another_type(trained: Pixels, given: Pixels) -> None:
    scale = PixelScale.of(trained)
    found = in_training_units(given, trained.dtype.name, scale, "X")
    assert found.dtype == trained.dtype
    np.testing.assert_array_equal(found.astype(float), given.astype(float).astype(np.float32))


def test_fractions_between_the_values_are_kept() -> None:
    found = in_training_units(BYTES * 0.9, "uint8", PixelScale.of(BYTES), "X")
    np.testing.assert_array_equal(found, (BYTES * 0.9).astype(np.float32))


def test_8_bit_after_16_is_stretched_as_on_the_command_line() -> None:
    np.testing.assert_array_equal(
        in_training_units(BYTES, "uint16", PixelScale(0, 4095), "X"), np.rint(BYTES * (4095 / 255)).astype(np.uint16)
    )


@pytest.mark.parametrize(
    ("trained", "given", "told"),
    [
        (BYTES, UNIT, r"floats of 0 to 1; .*uint8, 0 to 255. Multiply them: \(X \* 255\).round\(\).astype\(np.uint8\)"),
        (BYTES, UNIT / 4, "Multiply them"),
        (BYTES, STANDARD, "without standardising them"),
        (BYTES, DEEP, "pixels of type uint16; the model was trained on uint8"),
        (BYTES, DEEP.astype(np.int64), "int64 values of 0 to 4080"),
        (BYTES, BYTES.astype(np.int64) - 128, "int64 values of -128 to 127"),
        (BYTES, BYTES > 9, "pixels of type bool"),
        (BYTES, BYTES * 2.0, "float64 values of 0 to 510"),
        (DEEP, UNIT, r"uint16, 0 to 65535. Multiply them"),
        (UNIT, BYTES, r"uint8 values of 0 to 255; the model was trained on floats of 0 to 1.*X / 255"),
        (STANDARD, DEEP, r"uint16 values of 0 to 4080.*X / 65535"),
    ],
)
def test_other_units_are_refused(trained: Pixels, given: Pixels, told: str) -> None:
    with pytest.raises(DataError, match=told):
        in_training_units(given, trained.dtype.name, PixelScale.of(trained), "X")


@pytest.mark.parametrize(
    ("trained", "given"),
    [
        (UNIT, BYTES.astype(np.float32)),
        (UNIT, STANDARD * 2),
        (BYTES.astype(np.float32), UNIT),
        (STANDARD, UNIT),
        (STANDARD, BYTES.astype(np.float32)),
        (DEEP, BYTES.astype(np.uint16)),
        (DEEP, DEEP * 2),
        (BYTES, BYTES // 32),
    ],
)
def test_values_unlike_those_of_training_are_told_of(trained: Pixels, given: Pixels) -> None:
    scale = PixelScale.of(trained)
    assert "may be" in unlike_training(given, scale)
    assert unlike_training(trained[1], scale) == ""


def test_usual_images_are_not_told_of() -> None:
    rng = np.random.default_rng(0)
    for images in (rng.random((40, 1, 8, 8)), rng.normal(size=(40, 1, 8, 8)), rng.exponential(size=(40, 1, 8, 8)) ** 3):
        scale = PixelScale.of(images[:20].astype(np.float32))
        assert not [image for image in images[20:] if unlike_training(image.astype(np.float32), scale)]


def test_scales_of_before_hold_no_range() -> None:
    with warnings.catch_warnings(action="error"):
        assert not PixelScale(-1.0, 1.0).is_beyond(-1e9, 1e9)
