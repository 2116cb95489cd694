"""An image in the detail of its file lies in the frame of the model's own, on its scale."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bayescope.data.dataset import Dataset
from bayescope.inference.detail import detailed_image
from bayescope.inference.read import read_for_model
from bayescope.runs.model_file import load_model
from mammograms import mammogram, write_mammogram


def block_means(pixels: np.ndarray, k: int) -> np.ndarray:
    channels, height, width = pixels.shape
    return pixels.reshape(channels, height // k, k, width // k, k).mean(axis=(2, 4))


@pytest.mark.parametrize("bound", [1536, 40, 15])
def test_a_prepared_image(prepared_run: Path, tmp_path: Path, bound: int) -> None:
    model, file = load_model(prepared_run), tmp_path / "a.dcm"
    write_mammogram(file, mammogram(96, 64, seed=3))
    images = read_for_model(model, [file])
    found = detailed_image(model, file, None, images.preparations[0], bound)
    assert images.preparations[0] is not None
    top, left, bottom, right = images.preparations[0].box
    k = min(round(max(bottom - top, right - left) / 8), bound // 8)
    if k == 1:
        assert found is None
        return
    assert found is not None
    assert found.shape == (1, 8 * k, 8 * k)
    assert found.dtype == images.pixels.dtype
    means, own = block_means(found, k).astype(float), images.pixels[0].astype(float)
    assert np.corrcoef(means.ravel(), own.ravel())[0, 1] > 0.95


def test_a_picture_that_is_fitted_into_the_frame(tiny_run: Path, tiny_data: Dataset, tmp_path: Path) -> None:
    model, file = replace(load_model(tiny_run), sizing="fitted"), tmp_path / "a.png"
    height, width = model.image_shape[1:]
    wide = np.kron(tiny_data.test.pixels[0, 0, : height // 2], np.ones((4, 4), np.uint8))
    Image.fromarray(wide).save(file)
    found = detailed_image(model, file, None, None, 1536)
    assert found is not None
    assert found.shape == (1, 4 * height, 4 * width)
    np.testing.assert_array_equal(found[0, height : 3 * height], wide)
    assert not found[0, :height].any()


def test_a_file_of_the_models_own_size_has_no_more(tiny_run: Path, tiny_data: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.fromarray(tiny_data.test.pixels[0, 0]).save(file)
    assert detailed_image(load_model(tiny_run), file, None, None, 1536) is None
