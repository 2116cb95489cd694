"""The mini-MIAS reader, on films in its layout, and on the archive itself."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bayescope.data.archives.base import BOX, COLUMNS
from bayescope.data.archives.mias import TASKS, read_mias
from bayescope.data.preparation.cache import CASES, IMAGES
from bayescope.data.preparation.prepare import prepare_archive
from bayescope.data.splits import OFFICIAL, Split
from bayescope.errors import ConfigError, DataError

FOLDS = Split("folds", folds=2, val_fraction=0)
HEADER = "INFORMATION:\n\n1st column: MIAS database reference number.\n\n"
LINES = [
    "mdb001 G CIRC B 535 425 197",
    "mdb002 D NORM ",
    "mdb003 F CIRC B 477 133 30",
    "mdb003 F SPIC M 500 168 26",
    "mdb004 F CIRC B",
    "mdb005 G CALC M *NOTE 3*",
    "mdb006 G NORM",
    "mdb007 G MISC M 10 1000 40",
    "mdb008 F ARCH M 512 511 20",
]


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Eight films of four patients, each bright at the centre of its first finding."""
    folder = tmp_path / "mias"
    folder.mkdir()
    (folder / "Info.txt").write_text(HEADER + "\n".join(LINES) + "\n" + "=" * 65 + "\n")
    rng = np.random.default_rng(0)
    for number in range(1, 9):
        pixels = rng.integers(0, 100, (1024, 1024), dtype=np.uint8)
        words = next(line for line in LINES if line.startswith(f"mdb{number:03d}")).split()
        if len(words) == 7:
            row, column = 1023 - int(words[5]), int(words[4])
            pixels[row - 2 : row + 3, column - 2 : column + 3] = 255
        Image.fromarray(pixels).save(folder / f"mdb{number:03d}.{'pgm' if number % 2 else 'png'}")
    return folder


def by_film(cases: pd.DataFrame) -> dict[str, dict]:
    return {Path(row["path"]).stem: row for row in cases.to_dict("records")}


def test_films_by_their_most_severe_finding(films: Path) -> None:
    archive = read_mias(films, "normal/abnormal", FOLDS)
    assert list(archive.cases.columns) == list(COLUMNS)
    rows = by_film(archive.cases)
    assert {film for film, row in rows.items() if row["label"] == "normal"} == {"mdb002", "mdb006"}
    assert [rows[f"mdb{n:03d}"]["patient"] for n in range(1, 9)] == ["1", "1", "2", "2", "3", "3", "4", "4"]
    severity = by_film(read_mias(films, "benign/malignant", FOLDS).cases)
    assert {film: row["label"] for film, row in severity.items()} == {
        "mdb001": "benign",
        "mdb003": "malignant",
        "mdb004": "benign",
        "mdb005": "malignant",
        "mdb007": "malignant",
        "mdb008": "malignant",
    }
    assert severity["mdb003"]["lesion"] == "CIRC, SPIC"


def test_the_box_is_around_all_circles_and_counts_from_the_top(films: Path) -> None:
    rows = by_film(read_mias(films, "normal/abnormal", FOLDS).cases)
    boxes = {film: [row[end] for end in BOX] for film, row in rows.items()}
    assert boxes["mdb008"] == [492, 492, 533, 533]  # the centre pixel (row 512, column 512) and 20 to each side
    assert boxes["mdb003"] == [477 - 30, 855 - 26, 500 + 26 + 1, 890 + 30 + 1]
    assert boxes["mdb007"] == [0, 0, 51, 64]  # within the film
    assert np.isnan(boxes["mdb004"]).all()
    assert np.isnan(boxes["mdb002"]).all()


@pytest.mark.slow
@pytest.mark.usefixtures("one_process")
def test_regions_are_cut_out_around_each_finding(films: Path, tmp_path: Path) -> None:
    archive = read_mias(films, "benign/malignant-roi", FOLDS)
    assert (archive.summary.found, archive.summary.used) == (7, 5)
    assert archive.summary.left_out == {"place of the finding not given": 2}
    sides = {(row["x_max"] - row["x_min"], row["y_max"] - row["y_min"]) for row in archive.cases.to_dict("records")}
    assert sides == {(128, 128), (493, 493)}
    prepare_archive("mias", films, tmp_path / "cache", 128, "benign/malignant-roi", folds=2, val_fraction=0, workers=1)
    names = pd.read_parquet(tmp_path / "cache" / CASES)["path"]
    images = zip(names, np.load(tmp_path / "cache" / IMAGES), strict=True)
    bright = {Path(name).stem: tuple(np.argwhere(pixels == pixels.max()).mean(axis=0)) for name, pixels in images}
    assert bright["mdb008"] == (64, 64)
    assert bright["mdb007"] == (23, 10)  # moved inside the film: rows and columns from 0


@pytest.mark.usefixtures("one_process")
def test_a_region_outside_its_file_is_told(films: Path, tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 99, (100, 100), dtype=np.uint8)).save(films / "mdb008.png")
    result = prepare_archive("mias", films, tmp_path / "cache", 16, "benign/malignant-roi", folds=2, val_fraction=0, workers=1)
    assert "expected rows 448 to 576, columns 448 to 576 inside" in result.broken["mdb008.png"]


@pytest.mark.parametrize(
    "line", ["mdb009 X CIRC B 1 2 3", "mdb009 G CIRC 1 2 3", "mdb009 G NORM B 1 2 3", "mdb009 G CIRC B 1 2", "mdb009 G"]
)
def test_a_line_that_is_not_understood(films: Path, line: str) -> None:
    with (films / "Info.txt").open("a") as table:
        table.write(line + "\n")
    with pytest.raises(DataError, match="Download it again"):
        read_mias(films, TASKS[0], FOLDS)


def test_what_is_refused(films: Path) -> None:
    with pytest.raises(ConfigError, match="expected one of normal/abnormal"):
        read_mias(films, "all", FOLDS)
    with pytest.raises(ConfigError, match="no official split"):
        read_mias(films, TASKS[0], OFFICIAL)
    (films / "Info.txt").write_text(HEADER)
    with pytest.raises(DataError, match="no line of a film"):
        read_mias(films, TASKS[0], FOLDS)
    (films / "Info.txt").unlink()
    with pytest.raises(DataError, match="no such file"):
        read_mias(films, TASKS[0], FOLDS)


def test_the_archive_itself(shared_data: Path) -> None:
    source, labels = shared_data / "mias", pd.read_csv(shared_data / "mias" / "labels.csv", dtype=str)
    rows = by_film(read_mias(source, "normal/abnormal").cases)
    abnormal = {Path(path).stem: label != "normal" for path, label in zip(labels["path"], labels["label"], strict=True)}
    assert {film: row["label"] == "abnormal" for film, row in rows.items()} == abnormal
    of_patient = {Path(path).stem: patient for path, patient in zip(labels["path"], labels["patient"], strict=True)}
    assert {film: row["patient"] for film, row in rows.items()} == of_patient
    severity = by_film(read_mias(source, "benign/malignant").cases)
    graded = labels[labels["label"] != "normal"]
    assert {film: row["label"] for film, row in severity.items()} == {
        Path(path).stem: label for path, label in zip(graded["path"], graded["label"], strict=True)
    }
    regions = read_mias(source, "benign/malignant-roi")
    lesions = pd.read_csv(source / "lesions.csv").dropna(subset=["radius"])
    inside = [
        row["x_min"] <= column < row["x_max"] and row["y_min"] <= line < row["y_max"]
        for row, column, line in zip(
            regions.cases.sort_values("path", kind="stable").to_dict("records"),
            lesions["x_from_left"],
            lesions["row_from_top"],
            strict=True,
        )
    ]
    assert len(inside) == 119
    assert all(inside)
