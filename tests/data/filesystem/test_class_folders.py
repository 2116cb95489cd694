"""Class folders: what is used, what is left out and why, and names of classes."""

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bayescope.data.archives.image_folder import read_image_folder
from bayescope.data.filesystem.class_folders import read_class_folders
from bayescope.data.load import load_dataset
from bayescope.errors import DataError
from mammograms import mammogram, write_mammogram


def write(folder: Path, n: int = 12, suffix: str = ".png", start: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(start, start + n):
        Image.fromarray(np.full((4, 4), i, np.uint8)).save(folder / f"{i}{suffix}")
    return folder


def test_every_file_is_accounted_for(tmp_path: Path) -> None:
    root = tmp_path / "set"
    write(root / "a"), write(root / "b", suffix=".bmp"), write(root / "b" / "@eaDir", 3), write(root / "a" / ".thumbs", 2)
    write(root, 1)
    (root / "a" / "notes.txt").write_text("x")
    (root / "a" / "empty").write_bytes(b"")
    (root / "a" / "1.2.840.113619.2").write_bytes(b"x")
    (root / "cases.csv").write_text("path,label\n")
    write_mammogram(root / "b" / "IM0001", mammogram(24, 16, seed=0))
    (root / "a" / "gone.png").symlink_to(root / "nowhere")
    data = load_dataset(root)
    assert data.files.left_out == {
        "in folder @eaDir, which is hidden or a system's": 3,
        "in folder .thumbs, which is hidden or a system's": 2,
        ".csv is a table: give its path in place of the folder's to use it": 1,
        ".txt is not read": 1,
        "DICOM, which `bayescope prepare folder` reads": 1,
        "empty file": 1,
        "image in no class folder": 1,
        "link that leads nowhere": 1,
        "not DICOM, and not named as an image": 1,
    }
    assert (data.files.found, data.files.used) == (36, 24)
    assert sum(len(split) for split in (data.train, data.val, data.test)) == 24


def test_prepare_counts_all_that_lies_there_and_reads_dicom_by_content(tmp_path: Path) -> None:
    image = mammogram(24, 16, seed=0)
    for label in ("benign", "malignant"):
        for i in range(12):
            write_mammogram(tmp_path / "set" / label / f"IM{i:06}{'.dcm' if i % 3 else ''}", image, PatientID=f"{label}{i}")
    (tmp_path / "set" / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "set" / "benign" / "report.pdf").write_bytes(b"%PDF")
    summary = read_image_folder(tmp_path / "set").summary
    assert (summary.unit, summary.found, summary.used) == ("files", 26, 24)
    assert summary.left_out == {".pdf is not read": 1, "hidden or a system's file": 1}
    assert "found 26 files, used 24, left out 2\n  left out 1: .pdf is not read" in str(summary)
    assert summary.to_dict()["files"]["found"] == 26


def test_a_folder_of_dicom_is_told_how_to_go_on(tmp_path: Path) -> None:
    for label in ("a", "b"):
        for i in range(12):
            write_mammogram(tmp_path / "set" / label / f"IM{i}", mammogram(24, 16, seed=i), PatientID=f"{label}{i}")
    with pytest.raises(DataError, match=r"DICOM, which.*24.*Make a cache of the DICOM files with `bayescope prepare folder`"):
        load_dataset(tmp_path / "set")
    assert len(read_image_folder(tmp_path / "set").cases) == 24  # the advice, followed
    write(tmp_path / "set" / "b")
    with pytest.raises(DataError, match=rf"{tmp_path}/set: no image in class folder a;.*Make a cache of the DICOM"):
        load_dataset(tmp_path / "set")


def test_a_linked_folder_of_images_is_read(tmp_path: Path) -> None:
    write(tmp_path / "set" / "a"), write(tmp_path / "set" / "b", 3)
    (tmp_path / "set" / "b" / "more").symlink_to(write(tmp_path / "elsewhere", 9, start=3))
    (tmp_path / "set" / "c").symlink_to(write(tmp_path / "c", 10))
    found = read_class_folders(tmp_path / "set")
    assert found.cases["label"].value_counts().to_dict() == {"a": 12, "b": 12, "c": 10}
    assert found.files.left_out == {}


@pytest.mark.parametrize("what", ["folder", "file", "class"])
def test_a_link_into_another_class_is_refused(tmp_path: Path, what: str) -> None:
    write(tmp_path / "set" / "a"), write(tmp_path / "set" / "b")
    if what == "class":
        (tmp_path / "set" / "c").symlink_to(tmp_path / "set" / "a")
    else:
        target = tmp_path / "set" / "a"
        (tmp_path / "set" / "b" / "x.png").symlink_to(target if what == "folder" else target / "0.png")
    with pytest.raises(DataError, match=rf"the same as {tmp_path}/set/a.*expected each image in one class"):
        read_class_folders(tmp_path / "set")


def test_a_link_within_a_class_is_counted_once(tmp_path: Path) -> None:
    write(tmp_path / "set" / "a"), write(tmp_path / "set" / "b")
    (tmp_path / "set" / "b" / "again").symlink_to(tmp_path / "set" / "b")
    found = read_class_folders(tmp_path / "set")
    assert (len(found.cases), found.files.left_out) == (24, {"read already under another name": 1})


def test_a_lone_split_is_taken_where_that_is_wanted(tmp_path: Path) -> None:
    for label in ("a", "b"):
        write(tmp_path / "set" / "Testing" / label, 2)
    with pytest.raises(DataError, match=rf"{tmp_path}/set: folders Testing; expected the splits"):
        read_class_folders(tmp_path / "set")
    found = read_class_folders(tmp_path / "set", partial=True).cases
    assert (sorted(set(found["label"])), set(found["split"])) == (["a", "b"], {"test"})


def test_class_names_are_composed_and_stripped(tmp_path: Path) -> None:
    for split, form in (("train", "NFC"), ("val", "NFD"), ("test", "NFD")):
        for label in ("bösartig", "gutartig"):
            write(tmp_path / "set" / split / unicodedata.normalize(form, label), 3)
    (tmp_path / "set" / "test" / "gutartig").rename(tmp_path / "set" / "test" / "gutartig ")
    data = load_dataset(tmp_path / "set")
    assert data.class_names == ("bösartig", "gutartig")
    assert [np.bincount(split.labels).tolist() for split in (data.train, data.val, data.test)] == [[3, 3]] * 3


def test_two_spellings_of_a_class_side_by_side_are_refused(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        write(tmp_path / "set" / unicodedata.normalize(form, "bösartig"))
    with pytest.raises(DataError, match="are both of class 'bösartig', spelt with other Unicode or blanks"):
        read_class_folders(tmp_path / "set")


def test_a_table_finds_names_spelt_otherwise(tmp_path: Path) -> None:
    write(tmp_path / unicodedata.normalize("NFD", "Bösartige Fälle"), 20)
    (tmp_path / unicodedata.normalize("NFD", "Bösartige Fälle") / "0.png").rename(
        tmp_path / unicodedata.normalize("NFD", "Bösartige Fälle") / unicodedata.normalize("NFD", "é.png")
    )
    names = ["é.png", *(f"{i}.png" for i in range(1, 20))]
    rows = [f"{unicodedata.normalize('NFC', 'Bösartige Fälle/' + name)},{'ab'[i % 2]}" for i, name in enumerate(names)]
    (tmp_path / "cases.csv").write_text("\n".join(["path,label", *rows]), encoding="utf-8")
    assert len(load_dataset(tmp_path / "cases.csv").train) == 14


def test_names_that_are_no_utf8_are_read_and_told(tmp_path: Path) -> None:
    root = tmp_path / os.fsdecode(b"s\xe9t")
    for label in (b"b\xf6se", b"gut"):
        write(root / os.fsdecode(label), 12)
        (root / os.fsdecode(label) / "0.png").rename(root / os.fsdecode(label) / os.fsdecode(b"\xff.png"))
    data = load_dataset(root)
    assert (data.source, data.class_names) == (r"s\xe9t", (r"b\xf6se", "gut"))
    names = {name for split in (data.train, data.val, data.test) for name in split.names}
    assert r"\xff.png" in names
    assert all(name.encode() for name in names)
