"""What a run is measured on: all of other data, the test images of its own, and never an image or patient it has seen."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bayescope.data.copies import pixel_hashes
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.data.labelled import SPLITS, LabelledImages, whole
from bayescope.data.load import load_dataset, load_images
from bayescope.errors import ConfigError, DataError
from bayescope.evaluation.selection import CHOICES, choose_images
from bayescope.runs.training_record import TrainingRecord


def pictures(values: Iterable[int], patients: Iterable[str] | None = None) -> ImageSet:
    """Images of one grayscale value each, named by it, so that equal values are copies."""
    grayscale = np.array(list(values), np.uint8)
    pixels = grayscale[:, None, None, None] * np.ones((1, 1, 2, 2), np.uint8)
    names = tuple(f"{value}.png" for value in grayscale)
    return ImageSet(pixels, np.arange(len(grayscale)) % 2, ("a", "b"), names, None if patients is None else tuple(patients))


def given_images(values: Iterable[int], split: str | None = None, patients: Iterable[str] | None = None) -> LabelledImages:
    """``split``: a letter for each image, t for train, v for val, e for test."""
    letters = {"t": "train", "v": "val", "e": "test"}
    of_image = None if split is None else np.array([letters[letter] for letter in split], dtype="U5")
    return LabelledImages(pictures(values, patients), of_image, "set")


def record_of(train: Iterable[int], val: Iterable[int] = (90, 91), test: Iterable[int] = (95, 96)) -> TrainingRecord:
    return TrainingRecord.of(Dataset(pictures(train), pictures(val), pictures(test), source="own"))


def record_of_patients(*patients: str) -> TrainingRecord:
    """Trained on an image of each."""
    n = len(patients)
    train, val = pictures(range(200, 200 + n), patients), pictures([90, 91], ["V1", "V2"])
    return TrainingRecord.of(Dataset(train, val, pictures([95], ["E1"]), source="own"))


def values_of(images: ImageSet) -> list[int]:
    return images.pixels[:, 0, 0, 0].tolist()


def save(folder: Path, names: Iterable[str], rng: np.random.Generator) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.fromarray(rng.integers(0, 256, (4, 4), dtype=np.uint8)).save(folder / name)


def noise_folder(folder: Path, n: int = 20) -> Path:
    """Class folders of ``n`` noise images each."""
    rng = np.random.default_rng(0)
    for label in ("benign", "malignant"):
        save(folder / label, [f"{i:03}.png" for i in range(n)], rng)
    return folder


def test_the_split_stays_as_it_was_drawn_when_images_are_added(tmp_path: Path) -> None:
    folder = noise_folder(tmp_path / "grow")
    trained = load_dataset(folder)
    record = TrainingRecord.of(trained)
    before = choose_images(load_images(folder), record)
    assert (before.name, sorted(before.images.names)) == ("test", sorted(trained.test.names))
    assert not before.warnings
    save(folder / "benign", ["aa.png", "000a.png"], np.random.default_rng(1))
    redrawn = load_dataset(folder)
    seen = set(pixel_hashes(trained.train.pixels)) | set(pixel_hashes(trained.val.pixels))
    assert set(pixel_hashes(redrawn.test.pixels)) & seen  # a split drawn again holds training images
    after = choose_images(load_images(folder), record)
    assert pixel_hashes(after.images.pixels) == pixel_hashes(before.images.pixels)
    assert "2 images were added since training and are not measured" in after.warnings[0]
    everything = choose_images(load_images(folder), record, "all")
    assert len(everything.images) == len(before.images) + 2
    assert not set(pixel_hashes(everything.images.pixels)) & seen
    assert everything.left_out == {
        "images the run was trained on": len(trained.train),
        "images the run was validated on": len(trained.val),
    }


def test_renamed_and_moved_images_are_known_again(tmp_path: Path) -> None:
    folder = noise_folder(tmp_path / "own")
    trained = load_dataset(folder)
    for i, path in enumerate(sorted(folder.rglob("*.png"))):
        path.rename(path.with_name(f"renamed-{97 * i % 40:02}.bmp"))
    chosen = choose_images(load_images(folder.rename(tmp_path / "other")), TrainingRecord.of(trained))
    assert set(pixel_hashes(chosen.images.pixels)) == set(pixel_hashes(trained.test.pixels))


def test_copies_of_an_image_are_never_on_both_sides(tmp_path: Path) -> None:
    """Every picture under three names, as data sets that were augmented before they were shared."""
    folder = noise_folder(tmp_path / "dup")
    for path in sorted(folder.rglob("*.png")):
        for number in (1, 2):
            path.with_stem(f"{path.stem}-copy{number}").write_bytes(path.read_bytes())
    trained = load_dataset(folder)
    by_split = {name: set(pixel_hashes(getattr(trained, name).pixels)) for name in SPLITS}
    assert all(not by_split[a] & by_split[b] for a in SPLITS for b in SPLITS if a != b)
    assert any("80 copies of images" in note for note in trained.notes)
    chosen = choose_images(load_images(folder), TrainingRecord.of(trained))
    assert len(chosen.images) == len(trained.test)
    assert not chosen.warnings


@pytest.mark.parametrize("hidden", [".ipynb_checkpoints", "@eaDir", "__MACOSX", ".thumbnails", "#recycle"])
def test_copies_in_hidden_folders_are_neither_trained_on_nor_measured(tmp_path: Path, hidden: str) -> None:
    folder = noise_folder(tmp_path / "set", 12)
    for place in (folder, folder / "benign", folder / "malignant"):
        (place / hidden / "deep").mkdir(parents=True)
        for path in sorted((folder / "benign").glob("*.png")):
            (place / hidden / path.name).write_bytes(path.read_bytes())
            (place / hidden / "deep" / path.name).write_bytes(path.read_bytes())
    trained, found = load_dataset(folder), load_images(folder)
    assert trained.class_names == found.images.class_names == ("benign", "malignant")
    assert sum(len(getattr(trained, name)) for name in SPLITS) == len(found.images) == 24
    assert found.files.left_out == {f"in folder {hidden}, which is hidden or a system's": 72}
    assert len(choose_images(found, TrainingRecord.of(trained)).images) == len(trained.test)
    assert len(choose_images(found, record_of([1, 2])).images) == 24


def outside_folder(path: Path) -> Path:
    return noise_folder(path / "outside", 30)


def few_images(path: Path) -> Path:
    return noise_folder(path / "small", 6)


def table(path: Path, **columns: str) -> Path:
    folder = noise_folder(path / "outside", 30)
    files = sorted(folder.rglob("*.png"))
    rows = pd.DataFrame({"path": [file.relative_to(path) for file in files], "label": [file.parent.name for file in files]})
    rows.assign(**columns).to_csv(path / "cases.csv", index=False)
    return path / "cases.csv"


def table_without_split(path: Path) -> Path:
    return table(path)


def table_of_test_rows(path: Path) -> Path:
    return table(path, split="test")


def table_of_training_rows(path: Path) -> Path:
    """As the other hospital has split its own images."""
    return table(path, split="train")


def lone_test_folder(path: Path) -> Path:
    noise_folder(path / "testonly" / "test", 6)
    return path / "testonly"


def all_splits(path: Path) -> Path:
    for split in SPLITS:
        noise_folder(path / "splits" / split, 2)
    return path / "splits"


@pytest.mark.parametrize(
    ("make", "n"),
    [
        (outside_folder, 60),
        (few_images, 12),
        (table_without_split, 60),
        (table_of_test_rows, 60),
        (table_of_training_rows, 60),
        (lone_test_folder, 12),
        (all_splits, 12),
    ],
)
def test_other_data_are_measured_whole(tmp_path: Path, make: object, n: int) -> None:
    assert callable(make)
    found = load_images(make(tmp_path))
    for split in ("auto", "all"):
        chosen = choose_images(found, record_of([1, 2]), split)
        assert (len(chosen.images), chosen.name, chosen.seen, chosen.left_out) == (n, "all", False, {})
        assert not chosen.warnings


def test_other_data_with_a_training_image_among_them_are_measured_without_it() -> None:
    record = record_of([1, 2, 3, 4])
    for split in (None, "eeeett"):
        chosen = choose_images(given_images([10, 11, 2, 12, 95, 13], split), record)
        assert values_of(chosen.images) == [10, 11, 12, 95, 13]
        assert chosen.left_out == {"images the run was trained on": 1}
        assert chosen.warnings == ("left out: 1 images the run was trained on",)


def test_copies_of_one_training_image_do_not_make_other_data_its_own() -> None:
    chosen = choose_images(given_images([1, 1, 1, 1, 1, 10, 11]), record_of([1, 2, 3]))
    assert (chosen.name, values_of(chosen.images)) == ("all", [10, 11])


OWN = given_images([1, 2, 3, 90, 91, 95, 96, 7, 8], "tttvveeet")
"""Of a run trained on 1 to 3, with a test image 7 and a training image 8 that were added."""


@pytest.mark.parametrize(
    ("split", "measured", "name", "seen"),
    [
        ("auto", [95, 96, 7], "test", False),
        ("test", [95, 96, 7], "test", False),
        ("all", [95, 96, 7, 8], "all", False),
        ("train", [1, 2, 3], "train", True),
        ("val", [90, 91], "val", True),
    ],
)
def test_splits_of_its_own_data(split: str, measured: list[int], name: str, seen: bool) -> None:
    chosen = choose_images(OWN, record_of([1, 2, 3]), split)
    assert (values_of(chosen.images), chosen.name, chosen.seen) == (measured, name, seen)
    assert any("does not apply to new images" in text for text in chosen.warnings) == seen


@pytest.mark.parametrize(("split", "measured"), [("test", [13]), ("train", [10, 11]), ("val", [12])])
def test_splits_that_other_data_give_are_kept(split: str, measured: list[int]) -> None:
    chosen = choose_images(given_images([10, 11, 12, 13], "ttve"), record_of([1, 2]), split)
    assert (values_of(chosen.images), chosen.name, chosen.seen) == (measured, split, False)
    assert not chosen.warnings


def test_images_moved_to_the_test_split_since_training_are_left_out_with_their_number() -> None:
    moved = given_images([1, 2, 3, 90, 91, 95, 96], "etteve" + "t")
    for split in ("auto", "test"):
        chosen = choose_images(moved, record_of([1, 2, 3]), split)
        assert values_of(chosen.images) == [95, 96]
        assert "left out: 1 images the run was trained on; 1 images the run was validated on" in chosen.warnings


def test_test_images_that_were_in_training_too_are_left_out_with_their_number() -> None:
    record = record_of([1, 2, 3], test=[3, 95])
    chosen = choose_images(given_images([1, 2, 3, 90, 91, 3, 95], "tttvvee"), record)
    assert values_of(chosen.images) == [95]
    assert chosen.warnings == ("left out: 1 images the run was trained on",)


def test_new_images_of_patients_trained_on_are_seen() -> None:
    record = record_of_patients("Anna", "Ben")
    data = given_images([1, 2, 3, 4, 5], "tteee", ["Anna", "Cem", "Ben", "V1", "E1"])
    for split, measured in (("auto", [2, 5]), ("all", [2, 5]), ("test", [5]), ("train", [2])):
        chosen = choose_images(data, record, split)
        assert (values_of(chosen.images), chosen.seen) == (measured, False)
        assert chosen.left_out["images of patients the run was trained on"] == (1 if split in ("test", "train") else 2)
        assert any(text.startswith("left out: ") for text in chosen.warnings)
    with pytest.raises(
        DataError, match=r"no unseen image of 2 \(1 images of patients the run was trained on; 1 .*validated on"
    ):
        choose_images(given_images([1, 2], "et", ["Anna", "V1"]), record)


def test_patients_are_known_by_their_images_where_the_run_was_not_told_of_them() -> None:
    data = given_images([1, 10, 11, 95, 12], "teeee", ["P1", "P1", "P2", "P3", "P3"])
    chosen = choose_images(data, record_of([1, 2, 3, 4]))
    assert values_of(chosen.images) == [11, 95, 12]
    assert chosen.left_out == {"images the run was trained on": 1, "images of patients the run was trained on": 1}


@pytest.mark.parametrize("what", ["patient", "file"])
def test_numbers_given_to_patients_may_change_when_images_are_added(what: str) -> None:
    named = [f"{what} {i}" for i in range(1, 8)]
    own = Dataset(pictures([1, 2], named[:2]), pictures([3], named[2:3]), pictures([4, 5], named[3:5]), source="own")
    grown = given_images([9, 1, 2, 3, 4, 5], None, named[:6])  # an image added in front: each number is another's
    chosen = choose_images(grown, TrainingRecord.of(own))
    assert values_of(chosen.images) == [4, 5]
    outside = choose_images(given_images([20, 21], None, named[:2]), TrainingRecord.of(own))
    assert values_of(outside.images) == [20, 21]


def test_what_is_not_known_is_said() -> None:
    for split in ("auto", "all", "test", "train", "val"):
        chosen = choose_images(given_images([1, 2, 3], "tve"), None, split)
        assert len(chosen.images) == (3 if split in ("auto", "all") else 1)
        assert any("keeps no record of its training images" in text for text in chosen.warnings)


def test_splits_that_cannot_be_had() -> None:
    record = record_of([1, 2, 3])
    with pytest.raises(ConfigError, match="split 'tests'; expected one of auto, all, train, val, test"):
        choose_images(OWN, record, "tests")
    for split in SPLITS:
        with pytest.raises(ConfigError, match="which gives no splits; expected all"):
            choose_images(given_images([10, 11]), record, split)
    with pytest.raises(DataError, match=r"no unseen image of 3 \(3 images the run was trained on\)"):
        choose_images(given_images([1, 2, 3]), record, "all")
    with pytest.raises(DataError, match="--split all to measure the 1 images added since training"):
        choose_images(given_images([1, 2, 3, 90, 10]), record)
    assert values_of(choose_images(given_images([1, 2, 3, 90, 10]), record, "all").images) == [10]


VALUES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 7), st.sampled_from("tve")), min_size=1, max_size=12)


@given(VALUES, VALUES, st.booleans(), st.booleans(), st.booleans(), st.sampled_from(CHOICES))
def test_what_counts_as_unseen_shares_no_image_and_no_patient_with_training(
    trained: list[tuple[int, int, str]],
    found: list[tuple[int, int, str]],
    patients_recorded: bool,
    patients_found: bool,
    with_split: bool,
    split: str,
) -> None:
    """Images, patients and splits at random, so that they overlap in every way."""

    def part(letter: str) -> ImageSet:
        rows = [(value, patient) for value, patient, of in trained if of == letter]
        return pictures([v for v, _ in rows], [f"P{p}" for _, p in rows] if patients_recorded else None)

    own = Dataset(part("t"), part("v"), part("e"), source="own")
    record = TrainingRecord.from_bytes(TrainingRecord.of(own).to_bytes())
    patients = [f"P{patient}" for _, patient, _ in found] if patients_found else None
    data = given_images([v for v, _, _ in found], "".join(of for *_, of in found) if with_split else None, patients)
    seen = {value for value, _, of in trained if of != "e"}
    seen_patients = {f"P{patient}" for _, patient, of in trained if of != "e"} if patients_recorded else set()
    seen_patients |= {f"P{patient}" for value, patient, _ in found if value in seen}
    unseen = [value for value, patient, _ in found if value not in seen and not (patients and f"P{patient}" in seen_patients)]
    try:
        chosen = choose_images(data, record, split)
    except (ConfigError, DataError):
        assert split != "all" or not unseen
        return
    if chosen.seen:
        assert split in ("train", "val")
        assert any("does not apply to new images" in text for text in chosen.warnings)
        return
    assert not set(values_of(chosen.images)) & seen
    assert not set(chosen.images.groups or ()) & seen_patients
    if split == "all":
        assert values_of(chosen.images) == unseen
        assert sum(chosen.left_out.values()) == len(found) - len(unseen)


def test_splits_of_a_data_set_are_joined_with_their_patients() -> None:
    own = Dataset(pictures([1, 2], ["A", "B"]), pictures([3], ["C"]), pictures([4, 5], ["D", "A"]), source="own")
    joined = whole(own)
    assert (values_of(joined.images), joined.images.groups) == ([1, 2, 3, 4, 5], ("A", "B", "C", "D", "A"))
    assert values_of(choose_images(joined, TrainingRecord.of(own)).images) == [4]
