"""Class folders and tables of pictures as an archive: patients from DICOM headers stay in one split, as far as files tell."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bayescope.data.archives.image_folder import read_image_folder
from bayescope.errors import DataError
from dicom_files import STORED, write
from mammograms import mammogram, write_mammogram

IMAGE = mammogram(24, 16, seed=0)


def write_classes(folder: Path, patient_of: Callable[[int], str], n: int = 36) -> Path:
    """``n`` images in each of two class folders; ``patient_of`` names whose image each is."""
    for c, label in enumerate(("ill", "well")):
        for i in range(n):
            write_mammogram(folder / label / f"{i}.dcm", IMAGE, PatientID=patient_of(c * n + i))
    return folder


def in_several_splits(cases: pd.DataFrame, owners: list[str]) -> int:
    """Patients, by ``owners`` of the cases, who are in more than one split."""
    return int((cases["split"].groupby(pd.Series(owners)).nunique() > 1).sum())


def owner(path: str) -> str:
    """Three images in a row are one patient's."""
    return f"{Path(path).parent.name} {int(Path(path).stem) // 3}"


@pytest.mark.parametrize("as_table", [False, True], ids=["class folders", "table without patients"])
def test_patients_of_headers_are_kept_together(tmp_path: Path, as_table: bool) -> None:
    source = write_classes(tmp_path / "set", lambda i: f" SMITH^{i // 3} ")
    if as_table:
        paths = sorted(source.rglob("*.dcm"))
        table = pd.DataFrame({"path": [str(path) for path in paths], "label": [path.parent.name for path in paths]})
        source = tmp_path / "cases.csv"
        table.to_csv(source, index=False)
    archive = read_image_folder(source)
    assert in_several_splits(archive.cases, [owner(path) for path in archive.cases["path"]]) == 0
    assert archive.cases["patient"].nunique() == 24
    assert sum(archive.summary.patients.values()) == 24
    assert "whole patients split" in archive.summary.split
    assert archive.summary.notes == ("24 patients as in the DICOM headers, numbered",)
    assert "SMITH" not in str(archive.cases.to_dict()) + str(archive.summary)


def test_images_that_tell_no_patient_are_counted(tmp_path: Path) -> None:
    source = write_classes(tmp_path / "set", lambda i: "" if i in (3, 40) else f"P{i // 3}")
    Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4)).save(source / "ill" / "plain.png")
    (source / "ill" / "0.dcm").write_bytes(b"broken")
    archive = read_image_folder(source)
    assert "4 images do not name their patient and are each taken as a separate patient" in archive.summary.notes
    assert archive.cases["patient"].notna().all()
    assert archive.cases["patient"].nunique() == 24 + 4


@pytest.mark.parametrize(("name", "note"), [("", "no file names its patient"), ("ANON", "the same patient in every file")])
def test_headers_that_tell_nobody_apart(tmp_path: Path, name: str, note: str) -> None:
    archive = read_image_folder(write_classes(tmp_path / "set", lambda i: name))
    assert archive.cases["patient"].isna().all()
    assert archive.summary.split.startswith("images split")
    assert archive.summary.notes[0].startswith(note)
    assert "two splits" in archive.summary.notes[0]


def test_a_patient_on_both_sides_of_given_splits_is_refused(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        write_classes(tmp_path / "set" / split, lambda i: f"P{i}", n=3)
    with pytest.raises(DataError, match="6 of 6 patients are in more than one split"):
        read_image_folder(tmp_path / "set")


def test_a_table_that_names_patients_is_believed(tmp_path: Path) -> None:
    source = write_classes(tmp_path / "set", lambda i: f"P{i}", n=30)
    paths = sorted(source.rglob("*.dcm"))
    table = pd.DataFrame({"path": [str(path) for path in paths], "label": [path.parent.name for path in paths]})
    table["patient"] = [owner(str(path)) for path in paths]
    table.to_csv(tmp_path / "cases.csv", index=False)
    archive = read_image_folder(tmp_path / "cases.csv")
    assert set(archive.cases["patient"]) == set(table["patient"])
    assert archive.summary.notes == ()


def test_rows_whose_file_cannot_be_reached_are_counted(tmp_path: Path) -> None:
    source = write_classes(tmp_path / "set", lambda i: f"P{i}", n=12)
    paths = sorted(map(str, source.rglob("*.dcm")))
    labels = [Path(path).parent.name for path in paths]
    table = pd.DataFrame({"path": [*paths, "x" * 300, "gone.png"], "label": [*labels, "ill", "well"]})
    table.to_csv(tmp_path / "cases.csv", index=False)
    archive = read_image_folder(tmp_path / "cases.csv")
    assert archive.summary.left_out == {"file cannot be reached (File name too long)": 1, "file not found": 1}


def test_frames_of_one_file_are_in_one_split_though_no_patient_is_told(tmp_path: Path) -> None:
    for n in range(24):
        folder = tmp_path / ("ill", "well")[n % 2]
        folder.mkdir(exist_ok=True)
        write(folder / f"{n}.dcm", np.stack([STORED] * 3), NumberOfFrames=3)
    cases = read_image_folder(tmp_path, frame="all").cases
    assert len(cases) == 72
    assert (cases.groupby("path")["split"].nunique() == 1).all()
