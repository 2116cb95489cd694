"""The VinDr-Mammo reader, on small archives in its layout."""

import shutil
from hashlib import md5
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from bayescope.data.archives.base import BOX, COLUMNS
from bayescope.data.archives.vindr import TASKS, read_vindr
from bayescope.data.splits import Split
from bayescope.errors import ConfigError, DataError

WHOLE = Split(val_fraction=0)
BREASTS = "study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,breast_density,split"
FINDINGS = (
    "study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,breast_density,"
    "finding_categories,finding_birads,xmin,ymin,xmax,ymax,split"
)


def key(*words: object) -> str:
    return md5(" ".join(map(str, words)).encode()).hexdigest()


def breasts(n_studies: int = 10) -> list[list[str]]:
    """Four views of each study, all of one category; every fifth study on test; a study with two series."""
    return [
        [
            key(study),
            key(study, "series", side if study == 3 else ""),
            key(study, side, view),
            side,
            view,
            "3518",
            "2800",
            f"BI-RADS {1 + study % 5}",
            "DENSITY C",
            "test" if study >= n_studies - n_studies // 5 else "training",
        ]
        for study in range(n_studies)
        for side in "LR"
        for view in ("CC", "MLO")
    ]


def finding(row: list[str], categories: str, box: str = ",,,") -> str:
    return ",".join([*row[:9], f'"{categories}"', "BI-RADS 4", box, row[9]])


def write_archive(folder: Path, table: list[list[str]], findings: list[str] | None = None, suffix: str = ".dicom") -> Path:
    for row in table:
        path = folder / "images" / row[0] / f"{row[2]}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(get_testdata_file("CT_small.dcm"), path)
    (folder / "breast-level_annotations.csv").write_text("\n".join([BREASTS, *map(",".join, table)]))
    if findings is not None:
        (folder / "finding_annotations.csv").write_text("\n".join([FINDINGS, *findings]))
    return folder


@pytest.mark.parametrize("suffix", [".dicom", ".png"])
def test_official_split_and_labels(tmp_path: Path, suffix: str) -> None:
    table = breasts()
    archive = read_vindr(write_archive(tmp_path, table, suffix=suffix), split=WHOLE)
    assert list(archive.cases.columns) == list(COLUMNS)
    for case, row in zip(archive.cases.to_dict("records"), table, strict=True):
        assert Path(case["path"]).name == row[2] + suffix
        assert case["label"] == ("BI-RADS 1-3" if row[7][-1] in "123" else "BI-RADS 4-5")
        assert (case["patient"], case["side"], case["view"]) == (row[0], row[3], row[4])
        assert case["split"] == {"training": "train", "test": "test"}[row[9]]
    assert archive.summary.counts["train"] == {"BI-RADS 1-3": 24, "BI-RADS 4-5": 8}
    assert "finding_annotations.csv not found: no boxes" in archive.summary.notes


def test_category_3_left_out(tmp_path: Path) -> None:
    summary = read_vindr(write_archive(tmp_path, breasts()), TASKS[1], WHOLE).summary
    assert summary.left_out == {"BI-RADS 3, in no group of the task": 8}
    assert (summary.found, summary.used) == (40, 32)


def test_boxes_are_clipped_and_joined(tmp_path: Path) -> None:
    table = breasts()
    findings = [
        finding(table[0], "['Mass', 'Suspicious Calcification']", "-3.5,100,200.25,300"),
        finding(table[0], "['Skin Thickening']", "2700,50,2811.5,260"),
        finding(table[1], "['No Finding']"),
        finding(table[2], "['Nipple Retraction']"),
        finding(table[3], "['Mass']", "-9,10,-2,40"),
    ]
    archive = read_vindr(write_archive(tmp_path, table, findings), split=WHOLE)
    assert archive.cases.loc[0, list(BOX)].tolist() == [0, 50, 2800, 300]
    assert archive.cases.loc[0, "lesion"] == "Mass, Skin Thickening, Suspicious Calcification"
    assert archive.cases.loc[1:, list(BOX)].isna().all(axis=None)
    assert archive.cases["lesion"].iloc[1:5].fillna("").tolist() == ["", "Nipple Retraction", "Mass", ""]
    assert "boxes clipped to the image: 3" in archive.summary.notes
    assert "boxes outside the image or empty, dropped: 1" in archive.summary.notes


def test_what_cannot_be_used_is_counted(tmp_path: Path) -> None:
    table = breasts()
    table[8][7] = ""
    write_archive(tmp_path, table)
    paths = [tmp_path / "images" / row[0] / f"{row[2]}.dicom" for row in table]
    paths[0].unlink()
    paths[1].write_bytes(b"")
    summary = read_vindr(tmp_path, split=WHOLE).summary
    assert summary.left_out == {"file not found": 1, "file is empty": 1, "BI-RADS not given, in no group of the task": 1}
    assert summary.used == 37


def test_validation_is_drawn_by_study_from_train(tmp_path: Path) -> None:
    source = write_archive(tmp_path, breasts(50))
    cases = read_vindr(source, split=Split(val_fraction=0.1, seed=4)).cases
    assert (cases.groupby("patient")["split"].nunique() == 1).all()
    by_split = cases.groupby("split")["patient"].nunique()
    assert by_split.to_dict() == {"train": 36, "val": 4, "test": 10}
    assert cases[cases["split"] == "val"]["label"].nunique() == 2
    folded = read_vindr(source, split=Split("folds", 1, folds=5, seed=4)).cases
    assert set(folded["patient"]) == set(cases["patient"])
    assert (folded.groupby("patient")["split"].nunique() == 1).all()


def test_a_study_on_both_sides_moves_to_train(tmp_path: Path) -> None:
    table = breasts()
    table[0][9] = "test"
    source = write_archive(tmp_path, table)
    assert read_vindr(source, split=WHOLE).cases["split"][0] == "test"
    moved = read_vindr(source, split=Split("leak-free", val_fraction=0))
    assert moved.cases["split"][0] == "train"
    assert "1 patients in train and in test moved wholly to train, 1 rows with them" in moved.summary.notes


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="within 1 to 5"):
        read_vindr(tmp_path, "1-3/4-6")
    with pytest.raises(DataError, match=r"breast-level_annotations\.csv: no such file"):
        read_vindr(tmp_path)
    table = breasts()
    table[0][9] = "holdout"
    with pytest.raises(DataError, match=r"\['holdout'\]"):
        read_vindr(write_archive(tmp_path, table))
