"""Images mapped from a file stay there: few are brought into memory at a time, and answers do not depend on how many."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bayescope.config import Config
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.data.pixel_scale import PixelScale
from bayescope.fitting.fit import fit
from bayescope.inference import model_units
from bayescope.inference.model import LikelihoodModel
from bayescope.training import loop
from bayescope.types import Pixels

AT_ONCE = 7


def mapped(images: ImageSet, path: Path) -> ImageSet:
    np.save(path, images.pixels)
    return replace(images, pixels=np.load(path, mmap_mode="r"))


@pytest.fixture
def largest(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images were brought into memory at a time."""
    seen: list[int] = []
    original = PixelScale.to_model

    def spy(self: PixelScale, pixels: Pixels) -> np.ndarray:
        seen.append(len(pixels))
        return original(self, pixels)

    monkeypatch.setattr(PixelScale, "to_model", spy)
    return seen


@pytest.mark.slow
def test_training_and_scoring_take_few_images_at_a_time(
    tiny_data: Dataset, tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, largest: list[int]
) -> None:
    n_pixels = AT_ONCE * tiny_data.train.pixels[0].size
    training = tiny_config.training.model_copy(update={"steps": 12, "batch_size": 6})
    config = tiny_config.model_copy(update={"training": training})
    monkeypatch.setattr(loop, "_STATISTICS_PIXELS", n_pixels)
    monkeypatch.setattr(loop, "_VALIDATION_IMAGES", AT_ONCE)
    in_memory = fit(tiny_data, config)
    expected = in_memory.classify(tiny_data.test.pixels, trust_tests=True)
    largest.clear()
    monkeypatch.setattr(model_units, "_NUMBERS_AT_ONCE", n_pixels)
    sets = [mapped(getattr(tiny_data, name), tmp_path / f"{name}.npy") for name in ("train", "val", "test")]
    model = fit(Dataset(sets[0], sets[1], sets[2], source="mapped"), config)
    assert isinstance(sets[2].pixels, np.memmap)
    found = model.classify(sets[2].pixels, trust_tests=True)
    assert max(largest) <= AT_ONCE
    np.testing.assert_allclose(found.evidence, expected.evidence, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found.log_posterior, expected.log_posterior, rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(found.passes, expected.passes)
    assert found.novelty is not None
    assert expected.novelty is not None
    np.testing.assert_array_equal(found.novelty.p_value, expected.novelty.p_value)


def test_no_image_is_scored_to_no_answer(tiny_data: Dataset, tiny_config: Config) -> None:
    model: LikelihoodModel = fit(tiny_data, tiny_config)
    assert model.level_evidence(tiny_data.test.pixels[:0]).values.shape[0] == 0
