"""The INbreast reader, on small archives in its layout."""

import plistlib
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydicom.data import get_testdata_file

from bayescope.data.archives.base import BOX, COLUMNS, birads_groups
from bayescope.data.archives.inbreast import TASKS, read_inbreast
from bayescope.data.splits import Split
from bayescope.errors import ConfigError, DataError

HEADER = ["Patient ID", "Patient age", "Laterality", "View", "Acquisition date", "File Name", "ACR", "Bi-Rads"]
CATEGORIES = ("1", "2", "3", "4a", "4b", "4c", "5", "6")
SPLIT = Split("folds", folds=3, val_fraction=0.5)


def rows(n_patients: int = 12) -> list[list[str]]:
    """Two views of a breast for each patient; one ACR blank, one view FB."""
    table = []
    for patient in range(n_patients):
        for view in ("CC", "FB" if patient == 1 else "MLO"):
            name = str(20586900 + len(table))
            acr = "" if patient == 2 else "2"
            category = CATEGORIES[patient % len(CATEGORIES)]
            table.append(["removed", "removed", "LR"[patient % 2], view, "201001", name, acr, category])
    return table


def image_name(row: list[str]) -> str:
    patient = (int(row[5]) - 20586900) // 2
    view = "ML" if row[3] == "MLO" and patient % 3 else row[3]
    return f"{row[5]}_6c613a14b80a{patient:04x}_MG_{row[2]}_{view}_ANON.dcm"


def write_images(folder: Path, table: list[list[str]]) -> Path:
    release = folder / "INbreast Release 1.0"
    for part in ("AllDICOMs", "AllXML", "AllROI"):
        (release / part).mkdir(parents=True)
    for row in table:
        shutil.copy(get_testdata_file("CT_small.dcm"), release / "AllDICOMs" / image_name(row))
    return release


def write_archive(folder: Path, table: list[list[str]] | None = None) -> Path:
    table = rows() if table is None else table
    release = write_images(folder, table)
    (release / "INbreast.csv").write_bytes("\r\n".join(";".join(row) for row in [HEADER, *table, []]).encode())
    return release


def write_outline(release: Path, name: str, rois: dict[str, list[str]]) -> None:
    content = [{"Name": roi, "NumberOfPoints": len(points), "Point_px": points} for roi, points in rois.items()]
    (release / "AllXML" / f"{name}.xml").write_bytes(plistlib.dumps({"Images": [{"ROIs": content}]}))


def sheet(table: list[list[str]]) -> pd.DataFrame:
    """17 columns, blanks in the header, X marks, two footer rows."""
    frame = pd.DataFrame(table, columns=HEADER).rename(columns={"Bi-Rads": "Bi-Rads ", "ACR": " ACR"})
    frame["File Name"] = frame["File Name"].astype(int)
    for name in ("Mass ", "Micros", "Distortion", "Asymmetry", "Findings Notes", "Lesion", "Pectoral", "Other", "Note "):
        frame[name] = "X"
    footer = pd.DataFrame({"Patient ID": ["X = present", "removed: for privacy"]})
    return pd.concat([frame, footer], ignore_index=True)


def biff(frame: pd.DataFrame) -> bytes:
    """The oldest .xls there is, BIFF 2: labels and numbers, row by row."""
    stream = struct.pack("<4H", 0x0009, 4, 0x0007, 0x0010)
    for i, row in enumerate([list(frame.columns), *frame.to_numpy().tolist()]):
        for j, value in enumerate(row):
            cell = struct.pack("<HH3x", i, j)
            if isinstance(value, str) and value:
                text = value.encode()
                stream += struct.pack("<HH", 0x0004, len(cell) + 1 + len(text)) + cell + bytes([len(text)]) + text
            elif not isinstance(value, str) and value == value:
                stream += struct.pack("<HH", 0x0003, len(cell) + 8) + cell + struct.pack("<d", value)
    return stream + struct.pack("<HH", 0x000A, 0)


def test_csv(tmp_path: Path) -> None:
    archive = read_inbreast(write_archive(tmp_path), split=SPLIT)
    assert list(archive.cases.columns) == list(COLUMNS)
    assert archive.summary.found == archive.summary.used == 24
    by_name = {Path(case["path"]).name[:8]: case for case in archive.cases.to_dict("records")}
    for row in rows():
        case = by_name[row[5]]
        assert case["label"] == ("BI-RADS 1-3" if row[7] in "123" else "BI-RADS 4-6")
        assert (case["side"], case["view"], case["kind"]) == (row[2], row[3], "full")
        assert case["patient"].startswith("6c613a14b80a")
    assert archive.cases.groupby("patient").size().unique() == [2]
    assert (archive.cases.groupby("patient")["split"].nunique() == 1).all()
    assert archive.cases[list(BOX)].isna().all(axis=None)


def test_category_3_left_out(tmp_path: Path) -> None:
    summary = read_inbreast(write_archive(tmp_path), TASKS[1], SPLIT).summary
    assert summary.left_out == {"BI-RADS 3, in no group of the task": 4}
    assert summary.used == 20
    assert "BI-RADS 1-2" in summary.counts["train"]


@pytest.mark.filterwarnings("ignore:The xlrd engine is deprecated")
@pytest.mark.parametrize("kind", ["xls", "xlsx"])
def test_excel_has_footers(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("xlrd" if kind == "xls" else "openpyxl")
    release = write_images(tmp_path, rows())
    if kind == "xls":
        (release / "INbreast.xls").write_bytes(biff(sheet(rows())))
    else:
        sheet(rows()).to_excel(release / "INbreast.xlsx", sheet_name="Sheet1", index=False)
    from_excel = read_inbreast(release, split=SPLIT)
    assert f"INbreast.{kind}: 2 rows without a file name dropped" in from_excel.summary.notes
    (release / "INbreast.csv").write_text("\n".join(";".join(row) for row in [HEADER, *rows()]))
    pd.testing.assert_frame_equal(from_excel.cases, read_inbreast(release, split=SPLIT).cases)


def test_without_a_reader_of_excel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = write_images(tmp_path, rows())
    (release / "INbreast.xls").write_bytes(biff(sheet(rows())))
    monkeypatch.setitem(sys.modules, "xlrd", None)
    with pytest.raises(DataError, match="expected xlrd"):
        read_inbreast(release, split=SPLIT)
    (release / "INbreast.xls").write_text("an error page")
    with pytest.raises(DataError, match="expected an Excel file"):
        read_inbreast(release, split=SPLIT)


def test_outlines(tmp_path: Path) -> None:
    release = write_archive(tmp_path)
    first, second, third, fourth = (row[5] for row in rows()[:4])
    write_outline(release, first, {"Mass": ["(10.5, 40)", "(30, 20)"], "Calcification": ["(5, 33.25)"]})
    write_outline(release, second, {})
    write_outline(release, third, {"Mass": ["(a, b)"]})
    (release / "AllXML" / f"{fourth}.xml").write_text("<plist><dict>")
    archive = read_inbreast(release, split=SPLIT)
    by_name = {Path(case["path"]).name[:8]: case for case in archive.cases.to_dict("records")}
    assert [by_name[first][end] for end in BOX] == [5, 20, 30, 40]
    assert by_name[first]["lesion"] == "Calcification, Mass"
    for name in (second, third, fourth):
        assert np.isnan(by_name[name]["x_min"])
    assert "outlines that cannot be read: 2, the images used without box" in archive.summary.notes


def test_what_cannot_be_used_is_counted(tmp_path: Path) -> None:
    table = rows()
    release = write_archive(tmp_path, table)
    paths = [release / "AllDICOMs" / image_name(row) for row in table]
    paths[0].unlink()
    paths[2].write_bytes(b"")
    paths[4].rename(paths[4].with_name(f"{table[4][5]}.dcm"))
    paths[6].rename(paths[6].with_name(paths[6].name.replace("_R_", "_L_")))
    summary = read_inbreast(release, split=SPLIT).summary
    assert summary.left_out == {
        "file not found": 1,
        "file is empty": 1,
        "file name does not give the patient": 1,
        "side differs between table and file name": 1,
    }
    assert summary.found == summary.used + 4


def test_png_copy_and_dicom_before_it(tmp_path: Path) -> None:
    release = write_archive(tmp_path)
    dicom = sorted((release / "AllDICOMs").iterdir())
    for path in dicom:
        path.with_suffix(".png").write_bytes(b"png")
    assert {Path(path).suffix for path in read_inbreast(release, split=SPLIT).cases["path"]} == {".dcm"}
    for path in dicom:
        path.unlink()
    assert {Path(path).suffix for path in read_inbreast(release, split=SPLIT).cases["path"]} == {".png"}


def test_folds_test_every_patient_once(tmp_path: Path) -> None:
    release = write_archive(tmp_path)
    tested = [
        read_inbreast(release, split=Split("folds", fold, folds=3, val_fraction=0, seed=5)).cases.query("split == 'test'")
        for fold in range(3)
    ]
    patients = [set(cases["patient"]) for cases in tested]
    assert len(set.union(*patients)) == sum(map(len, patients)) == 12


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"INbreast\.csv: no such file"):
        read_inbreast(tmp_path)
    with pytest.raises(ConfigError, match="no official split"):
        read_inbreast(tmp_path, split=Split("official"))
    (tmp_path / "INbreast.csv").write_text("a;b\n1;2\n")
    with pytest.raises(DataError, match="no column Bi-Rads, File Name"):
        read_inbreast(tmp_path)


def test_groups() -> None:
    assert birads_groups("1/2-3/5", highest=5) == {
        "1": "BI-RADS 1",
        "2": "BI-RADS 2-3",
        "3": "BI-RADS 2-3",
        "5": "BI-RADS 5",
    }
    for wrong in ("1-3", "1-3/3-4", "1-3/4-6", "0-1/2", "3-1/4", "a/b", "", "1-3/"):
        with pytest.raises(ConfigError):
            birads_groups(wrong, highest=5)
