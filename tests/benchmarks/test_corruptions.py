"""The corruptions of the benchmarks keep shape, type and the caller's pixels, and grow with their strength."""

import numpy as np
import pytest
from benchmarks.corruptions import CORRUPTIONS, STRENGTHS, corrupted
from scipy.ndimage import gaussian_filter


@pytest.fixture
def pixels() -> np.ndarray:
    smooth = gaussian_filter(np.random.default_rng(0).normal(size=(4, 1, 28, 28)), (0, 0, 2, 2))
    return np.clip(110 + 400 * smooth, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_shape_type_and_the_callers_pixels_stay(name: str, strength: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (3, 2, 9, 14), dtype=np.uint8)
    before = pixels.copy()
    found = corrupted(pixels, name, strength)
    assert (found.shape, found.dtype) == (pixels.shape, np.uint8)
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(found, corrupted(pixels, name, strength))
    np.testing.assert_array_equal(found[:2], corrupted(pixels[:2], name, strength))


@pytest.mark.parametrize("name", ["inverted", "blurred", "noisy", "blank", "half-masked"])
def test_stronger_is_further_off(name: str, pixels: np.ndarray) -> None:
    off = [np.abs(corrupted(pixels, name, strength).astype(float) - pixels).mean() for strength in STRENGTHS]
    assert 0 < off[0] < off[1] < off[2]


def test_at_full_strength(pixels: np.ndarray) -> None:
    np.testing.assert_array_equal(corrupted(pixels, "inverted", 3), 255 - pixels)
    np.testing.assert_array_equal(corrupted(pixels, "rotated", 3), np.rot90(pixels, axes=(2, 3)))
    assert np.ptp(corrupted(pixels, "blank", 3), axis=(2, 3)).max() == 0
    masked = corrupted(pixels, "half-masked", 3)
    assert masked[..., :14].max() == 0
    np.testing.assert_array_equal(masked[..., 14:], pixels[..., 14:])


def test_all_rotations_turn_the_same_way(pixels: np.ndarray) -> None:
    spot = np.zeros((1, 1, 29, 29), np.uint8)
    spot[0, 0, 14, 24] = 255  # right of the centre
    rows = [np.argwhere(corrupted(spot, "rotated", strength)[0, 0] > 60).mean(axis=0)[0] for strength in STRENGTHS]
    np.testing.assert_allclose(rows, 14 - 10 * np.sin(np.deg2rad([30, 60, 90])), atol=0.7)
