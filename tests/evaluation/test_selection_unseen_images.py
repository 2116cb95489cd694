"""Images of one split of a cache, and which images of a run were seen in training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bayescope.data.dataset import Dataset
from bayescope.data.labelled import LabelledImages, whole
from bayescope.errors import ConfigError, DataError
from bayescope.evaluation import labelled_input
from bayescope.evaluation.selection import images_of_cache, seen_splits
from bayescope.inference.model import LikelihoodModel
from bayescope.runs.folder import read_record
from bayescope.runs.model_file import load_model

CACHE = Path("cache")


@pytest.fixture
def model(tiny_run: Path, tiny_data: Dataset, monkeypatch: pytest.MonkeyPatch) -> LikelihoodModel:
    """A model for whose data a cache holds 60 training, 30 validation and no test images."""
    data = whole(tiny_data)
    assert data.split is not None
    held = np.flatnonzero(data.split != "test")
    cache = replace(data, images=data.images.subset(held), split=data.split[held])

    def load_images(path: Path, *arguments: object) -> LabelledImages:
        return cache

    monkeypatch.setattr(labelled_input, "load_images", load_images)
    return load_model(tiny_run)


def test_images_of_a_split(model: LikelihoodModel, tiny_data: Dataset) -> None:
    found = images_of_cache(model, CACHE, "val")
    np.testing.assert_array_equal(found.pixels, tiny_data.val.pixels)
    assert found.names == tuple(f"cache/{name}" for name in tiny_data.val.names)
    assert found.paths[0] == CACHE / tiny_data.val.names[0]
    assert (len(found.remarks), found.failed, found.left_out_records()) == (30, (), [])
    assert len(images_of_cache(model, CACHE, "all")) == 90


def test_a_split_without_images_and_one_that_does_not_exist(model: LikelihoodModel) -> None:
    with pytest.raises(DataError, match="no image of split test"):
        images_of_cache(model, CACHE)
    with pytest.raises(ConfigError, match="expected one of train, val, test, all"):
        images_of_cache(model, CACHE, "none")


def test_seen_splits_are_those_trained_and_validated_on(tiny_run: Path, tiny_data: Dataset) -> None:
    pixels = np.concatenate([part.pixels[:1] for part in (tiny_data.train, tiny_data.val, tiny_data.test)])
    new = np.zeros_like(pixels[:1])
    assert seen_splits(read_record(tiny_run), np.concatenate([pixels, new])) == ["train", "val", "", ""]
    assert seen_splits(None, pixels) == ["", "", ""]
