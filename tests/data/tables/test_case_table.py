"""Case tables as spreadsheets leave them: what can be read is, and what would be guessed is refused by column and row."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bayescope.data.tables.case_table import check_files, read_case_table
from bayescope.errors import DataError

PLAIN = "path,label,patient\na.png,benign,7\nb.png,malignant,8\n"


@pytest.fixture(autouse=True)
def images(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / name)


def write(folder: Path, content: str | bytes, name: str = "cases.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        "\ufeff" + PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", ",\n"),
        PLAIN.replace("\n", "\n,,\n\n"),
        PLAIN.replace("a.png", '"a.png"').replace("benign", " benign "),
        "path,label,patient,note\na.png,benign,7,x\nb.png,malignant,8,\n",
        "sep=,\n" + PLAIN,
    ],
    ids=[
        "plain",
        "BOM",
        "CRLF",
        "comma at each end",
        "blank rows",
        "quotes and blanks",
        "other columns",
        "separator for Excel",
    ],
)
def test_what_means_the_same_is_read_the_same(tmp_path: Path, content: str) -> None:
    found = read_case_table(write(tmp_path, content))
    assert found.cases.to_dict("list") == {
        "path": [str(tmp_path / "a.png"), str(tmp_path / "b.png")],
        "label": ["benign", "malignant"],
        "patient": ["7", "8"],
    }
    assert (found.warnings, found.notes) == ((), ())


def test_rows_with_a_blank_label_are_kept_apart(tmp_path: Path) -> None:
    found = read_case_table(write(tmp_path, "path,label,patient,split\na.png,x,1,train\nb.png,,2,\nc.png, ,1,test\n"))
    assert found.cases["label"].tolist() == ["x"]
    assert [Path(path).name for path in found.unlabelled["path"]] == ["b.png", "c.png"]
    assert found.unlabelled["patient"].tolist() == ["2", "1"]
    assert found.unlabelled["split"].tolist() == ["", "test"]


def test_a_quoted_comma_stays_in_its_field(tmp_path: Path) -> None:
    assert read_case_table(write(tmp_path, 'path,label\na.png,"mass, round"\n')).cases["label"].tolist() == ["mass, round"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path;label\na.png;benign\n", "separated by ';' (semicolons)"),
        ("path,label\na.png,benign,7\nb.png,malignant\n", "row 2 with 3 fields, header with 2"),
        ("path,label\na.png,benign\n\nb.png\n", "row 4 with 1 fields, header with 2"),
        ("sep=;\npath;label\na.png;benign\n", "separated by ';' (semicolons)"),
        ("Path,Label\na.png,benign\n", "Rename 'Path' to 'path', 'Label' to 'label'"),
        ("path,label,label\na.png,benign,benign\n", "label heads several columns"),
        ("a.png,benign\nb.png,malignant\n", "expected a header path,label"),
        ("path,benign,malignant\na.png,1,0\nb.png,0,1\n", "columns benign, malignant of 0 and 1, one for each class"),
        ("path,label\na.png,\nb.png, \n", "every label is blank"),
        ("path,label,patient\na.png,,\nb.png,malignant,2\n", "1 rows with a blank field: patient in row 2"),
        ("path,label,split\na.png,x,\nb.png,,\nc.png,x,val\n", "1 rows with a blank field: split in row 2"),
        ("path,label,patient\na.png,benign,7\nb.png,malignant,\n", "1 rows with a blank field: patient in row 3"),
        ("path,label\na.png,nan\nb.png,malignant\n", "labels that mean a missing value: 'nan' in row 2"),
        (
            "path,label,patient\na.png,benign,nan\nb.png,malignant,NaN\n",
            "patients that mean a missing value: 'nan' in rows 2, 3",
        ),
        ("path,label\na.png,NaN\nb.png,#N/A\n", "'nan' in row 2; '#n/a' in row 3"),
        (
            "path,label\na.png,Benign\nb.png,benign\nc.png,BENIGN\n",
            "classes that differ in spelling only: 'Benign' 1 times (row 2)",
        ),
        ("path,label\na.png,1\nb.png,1.0\n", "'1' 1 times (row 2), '1.0' 1 times (row 3)"),
        ("path,label,patient\na.png,x,001\nb.png,y,1\n", "patients that differ in spelling only: '001' 1 times (row 2)"),
        ("path,label\na.png,x\na.png,y\n", "1 rows repeat a file"),
        ("path,label\na.png,x\n../{here}/a.png,y\n", "in rows 2, 3 with labels x and y"),
        ("path,label\nhttps://host/a.png,x\n", "row 2 has the address"),
        ("path,label,frame\na.png,x,0\n", "column frame in row 2 is no number from 1 on"),
        (PLAIN.encode("utf-16"), "UTF-16"),
        ("path,label\na.png,gutartig\nb.png,b\u00f6sartig\n".encode("latin-1"), "line 3 is not UTF-8"),
        ("path,label\n", "no rows"),
        ("", "empty"),
    ],
)
def test_refused_by_name(tmp_path: Path, content: str | bytes, message: str) -> None:
    text = content.replace("{here}", tmp_path.name) if isinstance(content, str) else content
    with pytest.raises(DataError) as refused:
        read_case_table(write(tmp_path, text))
    assert message in str(refused.value)
    assert str(tmp_path / "cases.csv") in str(refused.value)


def test_spellings_are_unified_on_request_and_told_of(tmp_path: Path) -> None:
    table = write(tmp_path, "path,label,patient\na.png,benign,001\nb.png,Benign ,1\nc.png,benign,2\n")
    found = read_case_table(table, normalise_labels=True)
    assert found.cases["label"].tolist() == ["benign"] * 3
    assert found.cases["patient"].tolist() == ["001", "001", "2"]
    assert "classes spelt alike: 'Benign' as 'benign'" in found.notes


def test_an_optional_column_blank_in_every_row_counts_as_absent(tmp_path: Path) -> None:
    found = read_case_table(write(tmp_path, "path,label,split\na.png,benign,\nb.png,malignant, \n"))
    assert list(found.cases) == ["path", "label"]
    assert found.notes == ("column split is blank in every row and not used",)


def test_a_doubtful_label_is_told_of_and_kept(tmp_path: Path) -> None:
    found = read_case_table(write(tmp_path, "path,label\na.png,none\nb.png,malignant\n"))
    assert found.cases["label"].tolist() == ["none", "malignant"]
    assert "label 'none' in row 2" in found.warnings[0]


def test_doubtful_patients_are_told_of(tmp_path: Path) -> None:
    found = read_case_table(write(tmp_path, "path,label,patient\na.png,benign,unknown\nb.png,malignant,unknown\n"))
    assert "patient 'unknown' in rows 2, 3 is taken for a patient" in found.warnings[0]


@pytest.mark.parametrize(("column", "known"), [("patient_id", "patient"), ("Patient", "patient"), ("Split", "split")])
def test_a_column_that_may_be_an_optional_one_is_told_of(tmp_path: Path, column: str, known: str) -> None:
    found = read_case_table(write(tmp_path, f"path,label,{column}\na.png,benign,1\nb.png,malignant,1\n"))
    assert f"column {column!r} is not used; rename it to {known}" in found.warnings[0]


@pytest.mark.parametrize("patients", [[1, 2], [1.0, 2.0], ["1", "2"]])
def test_parquet_numbers_are_text(tmp_path: Path, patients: list[object]) -> None:
    pd.DataFrame({"path": ["a.png", "b.png"], "label": [0, 1], "patient": patients}).to_parquet(tmp_path / "cases.parquet")
    found = read_case_table(tmp_path / "cases.parquet")
    assert found.cases[["label", "patient"]].to_numpy().tolist() == [["0", "1"], ["1", "2"]]


def test_missing_files_are_named_by_their_whole_paths(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    table = write(tmp_path, "path,label\na.png,x\nabsent.png,y\nfolder,y\n")
    with pytest.raises(DataError) as refused:
        check_files(read_case_table(table).cases, str(table))
    assert "2 of 3 images are not there" in str(refused.value)
    assert f"{tmp_path / 'absent.png'}: no such file" in str(refused.value)
    assert f"{tmp_path / 'folder'}: is a folder" in str(refused.value)
