"""Large images are reduced before they are filtered; what comes out is what filtering alone gives, within a bound."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.transform import resize

from bayescope.data.formats import resize as module
from bayescope.data.formats.resize import fit_square
from bayescope.types import Pixels


def picture(shape: tuple[int, ...], top: int) -> Pixels:
    """Texture, a slope and a bright square with sharp edges, up to ``top``."""
    texture = gaussian_filter(np.random.default_rng(0).normal(size=shape), (0, 3, 3))
    image = (texture - texture.min()) / np.ptp(texture) + np.linspace(0, 1, shape[2]) ** 2
    image[:, shape[1] // 3 : shape[1] // 2, shape[2] // 3 : shape[2] // 2] += 1
    return (image / image.max() * top).astype(np.uint8 if top < 256 else np.uint16)


@pytest.mark.parametrize("shape", [(1, 640, 512), (1, 1001, 777), (3, 257, 400), (1, 900, 141), (1, 513, 512)])
@pytest.mark.parametrize("top", [255, 65535])
def test_reducing_first_changes_little(shape: tuple[int, ...], top: int) -> None:
    image, size = picture(shape, top), 32
    found = fit_square(image, size)
    inner = tuple(max(1, round(side * size / max(shape))) for side in shape[1:])
    exact = resize(image, (shape[0], *inner), order=1, anti_aliasing=True, preserve_range=True)
    above, left = (size - inner[0]) // 2, (size - inner[1]) // 2
    difference = found[:, above : above + inner[0], left : left + inner[1]] - exact
    assert np.abs(difference).max() <= 0.01 * top + 0.5
    assert np.sqrt((difference**2).mean()) <= 0.0025 * top + 0.3
    assert found.dtype == image.dtype


def test_images_up_to_eight_times_the_size_are_resized_as_before() -> None:
    image = picture((1, 250, 200), 65535)
    exact = resize(image, (1, 32, 26), order=1, anti_aliasing=True, preserve_range=True)
    np.testing.assert_array_equal(fit_square(image, 32)[0, :, 3:29], np.rint(exact)[0])


def test_a_large_image_never_reaches_the_slow_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "resize", None)
    assert fit_square(np.full((1, 5000, 4000), 60_000, np.uint16), 64)[0, :, 8:-8].min() == 60_000


def test_fine_lines_do_not_alias_in_a_large_image() -> None:
    lines = np.zeros((1, 1600, 1600), np.uint8)
    lines[:, :, ::4] = 200
    assert np.abs(fit_square(lines, 16)[0, :, 1:-1].astype(int) - 50).max() <= 1
