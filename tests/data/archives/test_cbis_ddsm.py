"""The CBIS-DDSM reader: on archives in every layout, and on the official tables."""

import json
import os
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom import dcmread

from bayescope.data.archives import cbis_ddsm
from bayescope.data.archives.base import COLUMNS, Archive, choose_copy, find_table, read_rows
from bayescope.data.archives.cbis_ddsm import TASKS, read_cbis_ddsm
from bayescope.data.filesystem.walk import walk
from bayescope.data.splits import OFFICIAL, Split, settle_official
from bayescope.errors import ConfigError, DataError
from cbis_archive import (
    CROP,
    MASK,
    UID,
    Lesion,
    Place,
    nbia_new,
    nbia_old,
    rest,
    shortened,
    write_archive,
    write_dicom,
    write_jpegs,
    write_tables,
)

WHOLE = Split(val_fraction=0)
LESIONS = (
    Lesion(1, "MALIGNANT").share_series(),
    Lesion(2, "BENIGN_WITHOUT_CALLBACK").swap(),
    Lesion(3, "BENIGN", table="mass-test", side="RIGHT"),
    Lesion(1, "BENIGN", table="calc-test", view="MLO").share_series(),
    Lesion(4, "MALIGNANT", table="calc-train", side="RIGHT", view="MLO").swap(),
)


def height(path: str) -> int:
    if path.endswith(".jpg"):
        return Image.open(path).height
    return dcmread(path, stop_before_pixels=True).Rows


@pytest.mark.parametrize("blank", [False, True], ids=["described", "blank descriptions"])
@pytest.mark.parametrize("place", [nbia_new, nbia_old, rest, shortened])
def test_layouts(tmp_path: Path, place: Place, blank: bool) -> None:
    check(write_archive(tmp_path, list(LESIONS), place, blank))


@pytest.mark.parametrize("blank", [False, True], ids=["described", "blank descriptions"])
def test_jpeg_copy(tmp_path: Path, blank: bool) -> None:
    check(write_jpegs(tmp_path, list(LESIONS), blank))


def check(source: Path) -> None:
    crops = read_cbis_ddsm(source, "both-roi", WHOLE)
    assert list(crops.cases.columns) == list(COLUMNS)
    assert [height(path) for path in crops.cases["path"]] == [10] * 5
    assert crops.cases["label"].tolist() == ["malignant", "benign", "benign", "malignant", "benign"]
    assert crops.cases["split"].tolist() == ["train", "train", "test", "train", "test"]
    assert crops.cases["patient"].tolist() == ["P_00001", "P_00002", "P_00003", "P_00004", "P_00001"]
    assert ["".join(row) for row in crops.cases[["side", "view"]].to_numpy()] == ["LCC", "LCC", "RCC", "RMLO", "LMLO"]
    assert set(crops.cases["lesion"]) == {"mass 1", "calcification 1"}
    assert crops.summary.used == crops.summary.found == 5
    assert "crops that stand under 'ROI mask file path': 2" in crops.summary.notes
    full = read_cbis_ddsm(source, "mass-full", WHOLE)
    assert [height(path) for path in full.cases["path"]] == [40] * 3
    assert full.cases["kind"].unique() == ["full"]
    assert full.summary.counts["train"] == {"benign": 1, "malignant": 1}


def test_metadata_tells_a_folder_that_names_nothing(tmp_path: Path) -> None:
    lesion = Lesion(1, "MALIGNANT")
    write_tables(tmp_path, [lesion])
    for folder, what in (("a", "crop"), ("b", "mask")):
        write_dicom(tmp_path / "short" / folder / "1-1.dcm", what, "renamed", lesion.series[what], "")
    locations = f"Series UID,Subject ID,File Location\n1,{lesion.roi},.\\short\\a\n2,{lesion.roi},./short/b\n"
    (tmp_path / "metadata.csv").write_text(locations)
    assert read_cbis_ddsm(tmp_path, "mass-roi", WHOLE).cases["path"].tolist() == [str(tmp_path / "short/a/1-1.dcm")]


def test_a_mammogram_is_malignant_if_any_lesion_is(tmp_path: Path) -> None:
    lesions = [Lesion(1, "BENIGN", number=1), Lesion(1, "MALIGNANT", number=2), Lesion(1, "BENIGN", table="calc-train")]
    write_archive(tmp_path, lesions, nbia_new)
    both = read_cbis_ddsm(tmp_path, "both-full", WHOLE)
    assert both.cases[["label", "lesion"]].to_numpy().tolist() == [["malignant", "calcification 1, mass 1, mass 2"]]
    assert "1 images carry benign and malignant lesions and are malignant" in both.summary.notes
    assert "1 images are in the mass and in the calcification tables and are used once" in both.summary.notes
    assert read_cbis_ddsm(tmp_path, "calc-full", WHOLE).cases["label"].tolist() == ["benign"]


def test_what_cannot_be_used_is_counted(tmp_path: Path) -> None:
    lesions = [Lesion(i, "BENIGN") for i in range(1, 7)] + [Lesion(7, "N/A")]
    write_archive(tmp_path, lesions, nbia_new)
    missing, empty, no_crop, broken, double = (lesion for lesion in lesions[1:6])
    for lesion, names in ((missing, ("crop", "mask")), (no_crop, ("crop",))):
        for what in names:
            (tmp_path / nbia_new(lesion, what)).unlink()
    for lesion, content in ((empty, b""), (broken, b"no image")):
        for what in ("crop", "mask"):
            (tmp_path / nbia_new(lesion, what)).write_bytes(content)
    write_dicom(tmp_path / nbia_new(double, "mask"), "crop", double.roi, UID + "9", CROP)
    write_dicom(tmp_path / "stray" / "1-1.dcm", "crop", "", UID + "8", "")
    summary = read_cbis_ddsm(tmp_path, "mass-roi", WHOLE).summary
    assert summary.left_out == {
        "file not found": 1,
        "file is empty": 1,
        "crop missing": 1,
        "file cannot be read": 1,
        "crop not distinguishable from mask": 1,
        "no pathology": 1,
    }
    assert (summary.found, summary.used) == (7, 1)
    assert "image files that do not name a subject, not used: 1" in summary.notes
    assert "left out 1: file is empty" in str(summary)
    assert json.loads(json.dumps(summary.to_dict()))["left_out"] == summary.left_out


def test_size_outranks_a_description_that_names_the_mask_a_crop(tmp_path: Path) -> None:
    lesion = Lesion(1, "BENIGN")
    write_archive(tmp_path, [lesion], nbia_new)
    for what, description in (("crop", MASK), ("mask", CROP)):
        write_dicom(tmp_path / nbia_new(lesion, what), what, lesion.roi, UID + "1", description)
    assert [height(path) for path in read_cbis_ddsm(tmp_path, "mass-roi", WHOLE).cases["path"]] == [10]


def test_size_tells_a_saturated_crop_from_a_mask(tmp_path: Path) -> None:
    lesion = Lesion(1, "BENIGN")
    write_archive(tmp_path, [lesion], nbia_new, blank=True)
    write_dicom(tmp_path / nbia_new(lesion, "crop"), "saturated", lesion.roi, UID + "1", "")
    assert [height(path) for path in read_cbis_ddsm(tmp_path, "mass-roi", WHOLE).cases["path"]] == [10]


def test_leaking_patients(tmp_path: Path) -> None:
    source = write_archive(tmp_path, list(LESIONS), nbia_new)
    official = read_cbis_ddsm(source, "both-roi", WHOLE)
    assert any(note.startswith("1 patients in train and in test, as published") for note in official.summary.notes)
    moved = read_cbis_ddsm(source, "both-roi", Split("leak-free", val_fraction=0))
    assert "1 patients in train and in test moved wholly to train, 1 rows with them" in moved.summary.notes
    assert set(moved.cases.loc[moved.cases["patient"] == "P_00001", "split"]) == {"train"}
    assert moved.summary.patients == {"train": 3, "val": 0, "test": 1}


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mass-roi"):
        read_cbis_ddsm(tmp_path, "masses", OFFICIAL)
    with pytest.raises(DataError, match="no such folder"):
        read_cbis_ddsm(tmp_path / "absent", "mass-roi")
    with pytest.raises(DataError, match=r"mass_case_description_train_set\.csv: no such file"):
        read_cbis_ddsm(tmp_path, "mass-roi")
    write_tables(tmp_path, [Lesion(1, "BENIGN")])
    with pytest.raises(DataError, match="1 file not found"):
        read_cbis_ddsm(tmp_path, "mass-roi", WHOLE)
    few = write_archive(tmp_path / "few", [Lesion(1, "BENIGN")], nbia_new)
    with pytest.raises(DataError, match="1 patients of the rarest class; expected at least 5"):
        read_cbis_ddsm(few, "mass-roi", Split("folds"))
    shutil.rmtree(few)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "mass_case_description_train_set.csv").write_text("something else")
    with pytest.raises(DataError, match="2 files that differ"):
        read_cbis_ddsm(tmp_path, "mass-roi", WHOLE)
    for wrong in ({"scheme": "random"}, {"fold": 5}, {"folds": 1}, {"val_fraction": 0.9}):
        with pytest.raises(ConfigError):
            Split(**wrong)


def test_files_are_listed_once_and_hidden_ones_left_out(tmp_path: Path) -> None:
    for name in ("b/2.dcm", "a/1.png", "a/.hidden.png", ".git/3.dcm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert [path.name for path in walk(tmp_path).files] == ["1.png", "2.dcm"]
    assert choose_copy(walk(tmp_path).files)[0] == tmp_path / "b/2.dcm"
    assert find_table(walk(tmp_path).files, "1.PNG") == tmp_path / "a/1.png"


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["train", "test"])), min_size=1))
def test_leak_free_moves_to_train_alone(rows: list[tuple[int, str]]) -> None:
    patients, official = pd.Series([p for p, _ in rows]), pd.Series([s for _, s in rows])
    settled, notes = settle_official(official, patients, "leak-free")
    assert (settled.groupby(patients).nunique() == 1).all()
    assert (settled[settled != official] == "train").all()
    assert bool(notes) == (official.groupby(patients).nunique() > 1).any()


@pytest.fixture(scope="session")
def official_archive(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The official tables, with a small grayscale picture for each series they name."""
    source = tmp_path_factory.mktemp("cbis") / "archive"
    (source / "csv").mkdir(parents=True)
    grayscale = source / "grey.png"
    Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4) * 16).save(grayscale)
    for table in (shared_data / "cbis_ddsm" / "csv").glob("*.csv"):
        (source / "csv" / table.name).write_bytes(table.read_bytes())
        rows = pd.read_csv(table, dtype=str)
        for series in {
            path.split("/")[2] for column in ("image file path", "cropped image file path") for path in rows[column]
        }:
            (source / "jpeg" / series).mkdir(parents=True)
            os.link(grayscale, source / "jpeg" / series / "1-001.png")
    return source


@cache
def read_once(source: Path, task: str, split: Split) -> Archive:
    """Files and tables of the official archive are listed and read once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cbis_ddsm, "walk", listed_once)
        patch.setattr(cbis_ddsm, "read_rows", rows_once)
        return read_cbis_ddsm(source, task, split)


listed_once, rows_once = cache(walk), cache(read_rows)

COUNTS = {  # benign and malignant of train, then of test
    "mass-roi": (681, 637, 231, 147),
    "calc-roi": (1002, 544, 197, 129),
    "both-roi": (1683, 1181, 428, 276),
    "mass-full": (629, 602, 216, 145),
    "calc-full": (718, 509, 165, 119),
    "both-full": (1323, 1097, 379, 262),
}


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_official_counts_by_label(official_archive: Path, task: str) -> None:
    archive = read_once(official_archive, task, WHOLE)
    counts, unit = archive.summary.counts, archive.summary.unit
    assert (*counts["train"].values(), *counts["test"].values()) == COUNTS[task]
    assert list(counts["train"]) == ["benign", "malignant"]
    assert not any(counts["val"].values())
    assert not archive.summary.left_out
    assert unit == ("lesions" if task.endswith("roi") else "images")
    assert not archive.cases["path"].duplicated().any()


@pytest.mark.parametrize(("lesions", "pathologies", "labels"), [("mass", 8, 8), ("calc", 11, 9)])
def test_the_19_images_of_mixed_pathology(official_archive: Path, lesions: str, pathologies: int, labels: int) -> None:
    """Two of them mix BENIGN with BENIGN_WITHOUT_CALLBACK alone, and so are benign; the others are malignant."""
    tables = [pd.read_csv(path, dtype=str) for path in sorted((official_archive / "csv").glob(f"{lesions}_case_*.csv"))]
    rows = pd.concat(tables)
    found = rows.groupby(rows["image file path"].str.split("/").str[0])["pathology"].agg(set)
    mixed = found[found.map(len) > 1]
    assert len(mixed) == pathologies
    assert sum("MALIGNANT" in among for among in mixed) == labels
    archive = read_once(official_archive, f"{lesions}-full", WHOLE)
    assert f"{labels} images carry benign and malignant lesions and are malignant" in archive.summary.notes
    label_of = archive.cases.set_index(["patient", "side", "view"])["label"]
    for subject, among in mixed.items():
        _, _, number, side, view = str(subject).split("_")
        assert label_of[f"P_{number}", side[0], view] == ("malignant" if "MALIGNANT" in among else "benign")


def test_mixed_images_of_both_tables(official_archive: Path) -> None:
    archive = read_once(official_archive, "both-full", WHOLE)
    assert "26 images carry benign and malignant lesions and are malignant" in archive.summary.notes


@pytest.mark.slow
@pytest.mark.parametrize("task", ["both-roi", "both-full"])
def test_the_31_leaking_patients(official_archive: Path, task: str) -> None:
    official, moved = (read_once(official_archive, task, Split(scheme, val_fraction=0)) for scheme in ("official", "leak-free"))
    assert any(note.startswith("31 patients in train and in test, as published") for note in official.summary.notes)
    assert any(note.startswith("31 patients in train and in test moved") for note in moved.summary.notes)
    on_test = official.cases["split"] == "test"
    leaking = set(official.cases.loc[on_test, "patient"]) & set(official.cases.loc[~on_test, "patient"])
    assert len(leaking) == 31
    assert (moved.cases.groupby("patient")["split"].nunique() == 1).all()
    assert not set(moved.cases.loc[moved.cases["split"] == "test", "patient"]) & leaking
    assert not moved.cases["path"].duplicated().any()


def test_mass_and_calcification_alone_do_not_leak(official_archive: Path) -> None:
    for task in ("mass-full", "calc-full"):
        archive = read_once(official_archive, task, WHOLE)
        assert (archive.cases.groupby("patient")["split"].nunique() == 1).all()
        assert not any("patients in train and in test" in note for note in archive.summary.notes)


@pytest.mark.slow
def test_folds_test_every_patient_once(official_archive: Path) -> None:
    folds = [read_once(official_archive, "both-full", Split("folds", fold, folds=2, seed=3)).cases for fold in range(2)]
    on_test = [set(cases.loc[cases["split"] == "test", "patient"]) for cases in folds]
    assert set.union(*on_test) == set(folds[0]["patient"])
    assert sum(map(len, on_test)) == len(set(folds[0]["patient"]))
    for cases in folds:
        assert (cases.groupby("patient")["split"].nunique() == 1).all()
        malignant = cases.groupby("split")["label"].agg(lambda labels: (labels == "malignant").mean())
        assert np.ptp(malignant) < 0.05
        assert 0.08 < (cases["split"] == "val").sum() / (cases["split"] != "test").sum() < 0.12


@pytest.mark.slow
def test_splits_do_not_depend_on_the_files_there(official_archive: Path, tmp_path: Path) -> None:
    split = Split("folds", seed=7)
    whole = read_once(official_archive, "calc-roi", split).cases.set_index("path")["split"]
    (tmp_path / "csv").symlink_to(official_archive / "csv")
    for path in map(Path, sorted(whole.index)[::50]):
        copy = tmp_path / path.relative_to(official_archive)
        copy.parent.mkdir(parents=True)
        os.link(path, copy)
    few = read_cbis_ddsm(tmp_path, "calc-roi", split).cases
    assert few["split"].nunique() == 3
    same_files = [str(official_archive / Path(path).relative_to(tmp_path)) for path in few["path"]]
    assert few["split"].tolist() == whole[same_files].tolist()


def test_a_real_crop_that_stands_in_the_column_of_masks(shared_data: Path) -> None:
    archive = read_cbis_ddsm(shared_data / "cbis_ddsm", "calc-roi")
    (case,) = archive.cases.to_dict("records")
    assert Path(case["path"]).parts[-2:] == ("Calc-Training_P_00474_LEFT_MLO_1", "1-207.dcm")
    assert (case["label"], case["patient"], case["side"], case["view"]) == ("malignant", "P_00474", "L", "MLO")
    assert archive.summary.left_out == {"file not found": 1871}
    assert "crops that stand under 'ROI mask file path': 1" in archive.summary.notes
