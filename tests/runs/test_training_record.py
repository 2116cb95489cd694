"""The record of what a run was given: complete, private, and the same after saving."""

import numpy as np
import pytest

from bayescope.data.dataset import Dataset, ImageSet
from bayescope.errors import RunError
from bayescope.runs.training_record import TrainingRecord
from conftest import stripes


def with_patients(images: ImageSet, names: tuple[str, ...]) -> ImageSet:
    return ImageSet(images.pixels, images.labels, images.class_names, images.names, names)


@pytest.fixture
def data() -> Dataset:
    patients = {"train": ("Anna", "Ben"), "val": ("Cem", "patient 1"), "test": ("Dora", "Ben")}
    parts = {name: with_patients(stripes(2, seed), patients[name]) for seed, name in enumerate(patients)}
    return Dataset(**parts, source="stripes")


def test_every_image_and_patient_is_known_by_its_first_split(data: Dataset) -> None:
    record = TrainingRecord.from_bytes(TrainingRecord.of(data).to_bytes())
    for name in ("train", "val", "test"):
        assert record.splits_of(getattr(data, name).pixels).tolist() == [name, name]
    assert record.splits_of(stripes(3, 9).pixels).tolist() == ["", "", ""]
    asked = ["Anna", "Ben", "Cem", "Dora", "Emil"]
    assert record.splits_of_patients(asked).tolist() == ["train", "train", "val", "test", ""]


def test_numbers_given_to_patients_are_no_names(data: Dataset) -> None:
    record = TrainingRecord.of(data)
    assert record.splits_of_patients(["patient 1", "file 1"]).tolist() == ["", ""]


def test_no_patient_can_be_read_from_it_or_followed_from_run_to_run(data: Dataset) -> None:
    first, second = TrainingRecord.of(data), TrainingRecord.of(data)
    assert all(name.encode() not in first.to_bytes() for name in ("Anna", "Ben", "Cem", "Dora"))
    assert set(first.patients).isdisjoint(second.patients)
    assert first.images == second.images


def test_the_same_values_in_another_type_are_the_same_images(data: Dataset) -> None:
    record = TrainingRecord.of(data)
    assert record.splits_of(data.val.pixels.astype(np.uint16)).tolist() == ["val", "val"]


def test_something_else_is_refused() -> None:
    with pytest.raises(RunError, match="cannot be read"):
        TrainingRecord.from_bytes(b"something else")
