"""Case tables and folders: splits that keep classes together with patients apart, and what is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bayescope.data.dataset import Dataset
from bayescope.data.load import load_dataset
from bayescope.data.tables import cases
from bayescope.data.tables.cases import Cases, divided_cases
from bayescope.errors import DataError


def write_images(folder: Path, n: int, name: str = "{}.png") -> list[str]:
    """``n`` images, each of its own grayscale, so that an image is known by its pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        Image.fromarray(np.full((2, 3), i, np.uint8)).save(folder / name.format(i))
    return [name.format(i) for i in range(n)]


def write_table(tmp_path: Path, n: int = 60, **columns: list[str]) -> Path:
    paths = write_images(tmp_path / "images", n)
    frame = pd.DataFrame({"path": [f"images/{path}" for path in paths], "label": ["sick", "well"] * (n // 2)} | columns)
    frame.to_csv(tmp_path / "cases.csv", index=False)
    return tmp_path / "cases.csv"


def members(data: Dataset) -> list[list[int]]:
    """The grayscale of each image, split by split."""
    return [split.pixels[:, 0, 0, 0].tolist() for split in (data.train, data.val, data.test)]


def test_every_image_lands_in_one_split_with_its_own_label(tmp_path: Path) -> None:
    data = load_dataset(write_table(tmp_path))
    assert sorted(grayscale for part in members(data) for grayscale in part) == list(range(60))
    for split in (data.train, data.val, data.test):
        gray_images = split.pixels[:, 0, 0, 0]
        assert [split.class_names[k] for k in split.labels] == [("sick", "well")[grayscale % 2] for grayscale in gray_images]
        assert split.names == tuple(f"{grayscale}.png" for grayscale in gray_images)
    assert [len(part) for part in members(data)] == [42, 6, 12]
    assert "seed 0" in data.notes[0]


def test_given_splits_are_kept_whatever_their_spelling(tmp_path: Path) -> None:
    words = ["Training", "valid", "TEST"] * 20
    data = load_dataset(write_table(tmp_path, split=words))
    assert members(data) == [list(range(start, 60, 3)) for start in range(3)]
    assert data.notes == ("splits as given",)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 12), min_size=10, max_size=30), min_size=2, max_size=3),
    st.integers(0, 2**31),
)
def test_drawn_splits_keep_patients_whole_and_classes_everywhere(images: list[list[int]], seed: int) -> None:
    """``images[class][patient]``: how many."""
    people = [(k, n) for k, counts in enumerate(images) for n in counts]
    rows = [(f"{p}/{i}", str(k), f"p{p}") for p, (k, n) in enumerate(people) for i in range(n)]
    table = pd.DataFrame(rows, columns=["path", "label", "patient"])
    labels = table["label"].astype(int).to_numpy()
    patients = table["patient"].to_numpy()
    split, _ = cases.draw_split(labels, patients, "set", seed)
    assert pd.Series(split).groupby(table["patient"]).nunique().max() == 1
    for name in cases.SPLITS:
        assert set(labels[split == name]) == set(labels)
    assert (cases.draw_split(labels, patients, "set", seed)[0] == split).all()


def test_a_split_that_leaves_a_class_out_is_refused(tmp_path: Path) -> None:
    folds = [np.arange(start, 60, 10) for start in range(10)]  # even numbers are sick, so a fold holds one class
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cases.StratifiedGroupKFold, "split", lambda *_: [(None, fold) for fold in folds])
        with pytest.raises(DataError, match="drawn with seed 0 leaves a class out of val; expected every class in every"):
            load_dataset(write_table(tmp_path, patient=[f"p{i}" for i in range(60)]))


def test_a_leaking_patient_is_counted_not_named(tmp_path: Path) -> None:
    patients = [f"person{i // 6}" for i in range(60)]
    split = ["train"] * 30 + ["val"] * 12 + ["test"] * 18
    write_table(tmp_path, patient=patients, split=split)
    assert [len(part) for part in members(load_dataset(tmp_path / "cases.csv"))] == [30, 12, 18]
    split[0] = "test"
    write_table(tmp_path, patient=patients, split=split)
    with pytest.raises(DataError, match="1 of 10 patients are in more than one split") as caught:
        load_dataset(tmp_path / "cases.csv")
    assert "person0" not in str(caught.value)


def test_too_few_patients_though_many_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="4 patients of the rarest class; expected at least 10"):
        load_dataset(write_table(tmp_path, patient=[f"p{i % 8}" for i in range(60)]))


def test_a_class_may_be_called_none(tmp_path: Path) -> None:
    assert load_dataset(write_table(tmp_path, label=["None", "NA"] * 30)).class_names == ("NA", "None")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": [""] * 60}, "every label is blank"),
        ({"patient": [""] + ["p"] * 59}, "1 rows with a blank field"),
        ({"split": ["train", "val", "holdout"] * 20}, "splits .*'holdout'.* expected train, val and test"),
        ({"split": ["train", "test"] * 30}, "expected train, val and test, each with images"),
        ({"label": ["a"] * 60}, r"one class only \(a\)"),
        (
            {"label": ["a", "b"] * 20 + ["c"] * 20, "split": ["train", "val"] * 20 + ["test"] * 20},
            "no training image of class b, c",
        ),
        ({"path": ["images/0.png"] * 60}, "59 rows repeat a file"),
        (
            {"path": [f"images/{i}.png" for i in range(58)] + ["gone.png", "gone2.png"]},
            r"2 of 60 images are not there(.|\n)*gone\.png: no such file",
        ),
    ],
)
def test_bad_columns(tmp_path: Path, columns: dict[str, list[str]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_dataset(write_table(tmp_path, **columns))


def test_a_table_without_rows_or_without_anything(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text("path,label\n")
    with pytest.raises(DataError, match="no rows"):
        load_dataset(tmp_path / "cases.csv")
    (tmp_path / "cases.csv").write_text("")
    with pytest.raises(DataError, match="empty; expected a header"):
        load_dataset(tmp_path / "cases.csv")


def test_suffixes_in_capitals(tmp_path: Path) -> None:
    path = write_table(tmp_path).rename(tmp_path / "CASES.CSV")
    assert len(load_dataset(path).train) == 42
    pd.read_csv(path).to_parquet(tmp_path / "CASES.PARQUET")
    assert load_dataset(tmp_path / "CASES.PARQUET").fingerprint == load_dataset(path).fingerprint


def test_parquet_with_numbers_and_gaps(tmp_path: Path) -> None:
    write_images(tmp_path, 40)
    frame = pd.DataFrame({"path": [f"{i}.png" for i in range(40)], "label": [0, 1] * 20})
    frame.to_parquet(tmp_path / "cases.parquet")
    assert load_dataset(tmp_path / "cases.parquet").class_names == ("0", "1")
    frame.assign(label=[None, 1.0, *[0.0, 1.0] * 19]).to_parquet(tmp_path / "cases.parquet")
    found = load_dataset(tmp_path / "cases.parquet")
    assert (found.class_names, found.unlabelled.names) == (("0", "1"), ("0.png",))


def test_folder_takes_nested_images_and_leaves_hidden_things(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for label in ("a", "b"):
        write_images(root / label / "deep" / "er", 12)
        (root / label / "._0.png").write_bytes(b"not an image")
        (root / label / "notes.txt").write_text("x")
    (root / ".cache").mkdir()
    data = load_dataset(root)
    assert data.class_names == ("a", "b")
    assert sum(map(len, members(data))) == 24
    assert data.source == "set"


def test_folder_given_as_the_working_directory_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split in ("Train", "valid", "test"):
        for label in ("a", "b"):
            write_images(tmp_path / "set" / split / label, 2)
    (tmp_path / "set" / ".git").mkdir()
    monkeypatch.chdir(tmp_path / "set")
    data = load_dataset(Path())
    assert data.source == "set"
    assert [len(part) for part in members(data)] == [4, 4, 4]


def test_folders_that_are_refused(tmp_path: Path) -> None:
    write_images(tmp_path / "set" / "a", 12)
    with pytest.raises(DataError, match=r"one class only \(a\)"):
        load_dataset(tmp_path / "set")
    (tmp_path / "set" / "b").mkdir()
    with pytest.raises(DataError, match="no image in class folder b"):
        load_dataset(tmp_path / "set")
    write_images(tmp_path / "loose", 12)
    with pytest.raises(DataError, match="no image in class folders; expected loose/<class>/<image>"):
        load_dataset(tmp_path / "loose")


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("test", "train"), "set: folders test, train; expected the splits train, val and test and no others"),
        (("Training", "validation"), "set: folders Training, validation; expected the splits"),
        (("test",), "set: folders test; expected the splits"),
        (("masks", "test", "train", "val"), "set: folders masks, test, train, val; expected the splits"),
        (("masks", "test", "train"), "set: folders masks, test, train; expected the splits"),
    ],
)
def test_some_splits_are_no_classes(tmp_path: Path, folders: tuple[str, ...], message: str) -> None:
    for folder in folders:
        for label in ("a", "b"):
            write_images(tmp_path / "set" / folder / label, 12)
    with pytest.raises(DataError, match=message):
        load_dataset(tmp_path / "set")


def test_a_class_may_be_called_as_a_split_is(tmp_path: Path) -> None:
    for label in ("test", "control"):
        write_images(tmp_path / "set" / label, 12)
    assert load_dataset(tmp_path / "set").class_names == ("control", "test")


def test_a_class_only_in_the_test_folder(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        for label in ("a", "b", "c") if split == "test" else ("a", "b"):
            write_images(tmp_path / "set" / split / label, 2)
    with pytest.raises(DataError, match="no training image of class c"):
        load_dataset(tmp_path / "set")


def test_size_is_noted_and_the_callback_hears_every_file(tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    data = load_dataset(write_table(tmp_path), size=4, callback=lambda done, total: heard.append((done, total)))
    assert data.train.image_shape == (1, 4, 4)
    assert data.notes[-1] == "resized to 4x4 pixels"
    assert heard == [(i, 60) for i in range(1, 61)]


def test_size_cannot_change_a_medmnist_file(tiny_npz: Path) -> None:
    with pytest.raises(DataError, match=r"--size 16 cannot change them"):
        load_dataset(tiny_npz, size=16)


def test_the_callers_table_is_left_as_it_was(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in write_images(tmp_path, 40)]
    table = pd.DataFrame({"path": paths, "label": ["a", "b"] * 20}, index=range(100, 140))
    before = table.copy()
    divided_cases(Cases(table, "set"), None, 0, lambda done, total: None)
    pd.testing.assert_frame_equal(table, before)
