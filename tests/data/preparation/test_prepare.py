"""Archives to caches: pixels as one file at a time gives them, kills survived, broken files told, DICOM classified alike."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bayescope.config import Config, dump_toml
from bayescope.data.archives.base import Archive
from bayescope.data.archives.image_folder import read_image_folder
from bayescope.data.archives.vindr import read_vindr
from bayescope.data.formats.dicom import read_dicom
from bayescope.data.formats.grayscale import read_grayscale
from bayescope.data.load import load_dataset
from bayescope.data.preparation import cache
from bayescope.data.preparation.mammogram import Preparation
from bayescope.data.preparation.prepare import prepare
from bayescope.data.splits import Split
from bayescope.errors import ConfigError, DataError, RunError
from bayescope.runs.model_file import load_model
from conftest import Call
from mammograms import SYNTAXES, TWO_WINDOWS, mammogram, write_mammogram

STUDIES, SIZE = 30, 24
BREASTS = "study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,breast_density,split"
FINDINGS = BREASTS.replace(",split", "") + ",finding_categories,finding_birads,xmin,ymin,xmax,ymax,split"


@pytest.fixture(scope="module")
def vindr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two views a study; odd studies bear a bright mass; right breasts, inverted, compressed, and one broken file."""
    folder = tmp_path_factory.mktemp("vindr")
    breasts, findings = [BREASTS], [FINDINGS]
    for study in range(STUDIES):
        for side in "LR":
            image = mammogram(120, 90, seed=2 * study + (side == "R"))
            if study % 2:
                image[50:66, 12:28] = 3900
            image = image[:, :: -1 if side == "R" else 1]
            name, split = f"{study:02d}{side}", "test" if study >= STUDIES - 6 else "training"
            path = folder / "images" / f"study{study}" / f"{name}.dicom"
            write_mammogram(path, image, side, inverted=study % 3 == 0, syntax=SYNTAXES[study % len(SYNTAXES)])
            about = f"study{study},series,{name},{side},CC,120,90,BI-RADS {5 if study % 2 else 1},DENSITY B"
            breasts.append(f"{about},{split}")
            if study % 2:
                columns = "12,50,28,66" if side == "L" else "62,50,78,66"
                findings.append(f"{about},\"['Mass']\",BI-RADS 5,{columns},{split}")
    broken = folder / "images" / "study2" / "02L.dicom"
    broken.write_bytes(broken.read_bytes()[:900])
    (folder / "breast-level_annotations.csv").write_text("\n".join(breasts))
    (folder / "finding_annotations.csv").write_text("\n".join(findings))
    return folder


def read(source: Path) -> Archive:
    return read_vindr(source, "1-3/4-5", Split(val_fraction=0.2))


@pytest.mark.slow
def test_pixels_boxes_and_splits_are_those_of_the_files(vindr: Path, tmp_path: Path) -> None:
    archive, preparation, out = read(vindr), Preparation(SIZE), tmp_path / "cache"
    seen: list[int] = []
    result = prepare(archive, preparation, out, vindr, workers=2, callback=seen.append)
    assert (result.used, list(result.broken), sum(seen)) == (2 * STUDIES - 1, ["images/study2/02L.dicom"], 2 * STUDIES)
    assert (result.summary.found, result.summary.used) == (2 * STUDIES, 2 * STUDIES - 1)
    assert result.summary.left_out["file is broken"] == 1
    assert sum(sum(labels.values()) for labels in result.summary.counts.values()) == 2 * STUDIES - 1
    data, table = load_dataset(out), pd.read_parquet(out / cache.CASES)
    assert len(data.train) + len(data.val) + len(data.test) == result.used
    expected = archive.cases.set_index(archive.cases["path"].map(lambda path: Path(path).name))
    pixels = np.load(out / cache.IMAGES)
    for row, case in enumerate(table.to_dict("records")):
        prepared = preparation.apply(read_grayscale(vindr / case["path"]).pixels)
        np.testing.assert_array_equal(pixels[row], prepared.pixels)
        given = expected.loc[Path(case["path"]).name]
        assert (case["label"], case["split"]) == (given["label"], given["split"])
        if case["label"] == "BI-RADS 4-5":
            top, left, bottom, right = (round(case[end]) for end in ("y_min", "x_min", "y_max", "x_max"))
            inside = pixels[row, top:bottom, left:right]
            assert inside.size
            assert inside.mean() > pixels[row][pixels[row] > 0].mean()
    assert data.test.groups == tuple(table["patient"][table["split"] == "test"])
    assert str(vindr) not in (out / cache.MANIFEST).read_text() + str(table.to_dict())


@pytest.mark.slow
@pytest.mark.usefixtures("one_process")
def test_a_second_run_does_nothing_and_a_changed_one_is_refused(vindr: Path, tmp_path: Path) -> None:
    archive, out = read(vindr), tmp_path / "cache"
    prepare(archive, Preparation(SIZE), out, vindr, workers=1)
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert prepare(archive, Preparation(SIZE), out, vindr, workers=1).unchanged
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before
    with pytest.raises(RunError, match="prepared from other files, in another way"):
        prepare(archive, Preparation(SIZE, crop=False), out, vindr)


@pytest.mark.slow
def test_goes_on_after_a_kill(vindr: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    arguments = ["prepare", "vindr", vindr, "--task", "1-3/4-5", "--size", SIZE, "--out", cut, "--workers", 1]
    command = [sys.executable, "-c", "from bayescope.cli.main import run; run()", *map(str, arguments)]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    progress = cut / cache.PROGRESS
    while process.poll() is None and not (progress.is_file() and progress.read_text().count("\n") > 4):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (cut / cache.MANIFEST).exists()
    with pytest.raises(DataError, match="has not finished"):
        load_dataset(cut)
    done = progress.read_text().count("\n") - 1
    progress.write_text(progress.read_text() + '{"i": 7, "rec')
    seen: list[int] = []
    archive = read_vindr(vindr, "1-3/4-5")
    prepare(archive, Preparation(SIZE), cut, vindr, workers=1, callback=seen.append)
    assert seen[0] >= done - 1
    again = tmp_path / "again"
    prepare(archive, Preparation(SIZE), again, vindr, workers=2)
    assert (again / cache.IMAGES).read_bytes() == (cut / cache.IMAGES).read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("one_process")
def test_too_many_broken_files_stop_it_and_mended_ones_are_read_again(vindr: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "pictures", tmp_path / "cache"
    for label in ("ill", "well"):
        for n in range(12):
            write_mammogram(source / label / f"{n}.dcm", mammogram(90, 70, seed=n))
    broken = source / "ill" / "3.dcm"
    broken.write_bytes(b"no image")
    with pytest.raises(RunError, match=r"1 of 24 files are broken; expected at most 0(.|\n)*3\.dcm"):
        prepare(read_image_folder(source), Preparation(16), out, source, workers=1, max_broken=0)
    write_mammogram(broken, mammogram(90, 70, seed=3))
    result = prepare(read_image_folder(source), Preparation(16), out, source, workers=1, max_broken=0)
    assert (result.used, result.broken) == (24, {})
    (out / cache.CASES).unlink()
    with pytest.raises(DataError, match="Prepare the images again"):
        load_dataset(out)


@pytest.mark.usefixtures("one_process")
def test_a_folder_that_is_no_cache_is_left_alone(vindr: Path, tmp_path: Path, cli: Call) -> None:
    (tmp_path / "thesis.txt").write_text("dear")
    arguments = ("prepare", "vindr", vindr, "--task", "1-3/4-5", "--size", SIZE, "--out", tmp_path)
    assert "not empty" in cli(*arguments).err
    assert "no cache" in cli(*arguments, "--force").err
    assert (tmp_path / "thesis.txt").read_text() == "dear"
    assert "expected one, such as: 1-3/4-5" in cli("prepare", "vindr", vindr, "--size", 24, "--out", tmp_path / "a").err


@pytest.mark.slow
@pytest.mark.usefixtures("one_process")
def test_prepare_train_classify_evaluate_by_command(vindr: Path, tmp_path: Path, tiny_config: Config, cli: Call) -> None:
    out, run, config = tmp_path / "cache", tmp_path / "run", tmp_path / "config.toml"
    config.write_text(dump_toml(tiny_config))
    told = cli("prepare", "vindr", vindr, "--task", "1-3/4-5", "--size", SIZE, "--out", out, "--json")
    assert told.code == 0
    assert json.loads(told.out)["images"] == 2 * STUDIES - 1
    assert cli("train", out, "--out", run, "--config", config).code == 0
    assert load_model(run).preparation == Preparation(SIZE)
    assert cli("evaluate", run, out, "--json").code == 0
    path = next(vindr.rglob("27R.dicom"))
    told = cli("classify", run, path, next(vindr.rglob("02L.dicom")), "--json")
    assert told.code == 1
    assert "skipped" in told.err
    data = load_dataset(out)
    model, index = load_model(run), data.test.names.index("27R.dicom")
    expected = model.classify(data.test.pixels[index : index + 1]).posterior[0]
    answered, failed = map(json.loads, told.out.splitlines())
    np.testing.assert_allclose(list(answered["posterior"].values()), expected, rtol=1e-5)
    assert (Path(failed["image"]).name, "02L.dicom" in failed["error"]) == ("02L.dicom", True)


@pytest.mark.slow
@pytest.mark.usefixtures("one_process")
def test_the_window_by_command(tmp_path: Path, cli: Call) -> None:
    source, out = tmp_path / "pictures", tmp_path / "cache"
    for n in range(24):
        header = TWO_WINDOWS if n else {}
        label = ("ill", "well")[n % 2]
        write_mammogram(source / label / f"{n}.dcm", mammogram(60, 40, seed=n), PatientID=f"P{n}", **header)
    Image.fromarray(mammogram(60, 40)).save(source / "ill" / "plain.png")
    arguments = ("prepare", "folder", source, "--size", SIZE, "--out", out, "--workers", 1, "--json")
    told = cli(*arguments, "--window", 1)
    assert told.code == 0, told.err
    answer = json.loads(told.out)
    assert "no window 1; expected 0 to 0" in answer["broken"]["ill/0.dcm"]
    assert "no window 1, not being DICOM" in answer["broken"]["ill/plain.png"]
    preparation, table = Preparation(SIZE, window=1), pd.read_parquet(out / cache.CASES)
    assert load_dataset(out).preparation == preparation
    assert set(table["applied"]) == {"window 2 of 2"}
    assert set(table["bits_stored"]) == {12}
    pixels = np.load(out / cache.IMAGES)
    for row, name in enumerate(table["path"]):
        shown = read_dicom(source / name, window=1).pixels
        np.testing.assert_array_equal(pixels[row], preparation.apply(shown).pixels)
        assert (pixels[row] != Preparation(SIZE).apply(read_dicom(source / name).pixels).pixels).any()
    assert "in another way" in cli(*arguments).err
    with pytest.raises(ConfigError, match="window is -1"):
        Preparation(SIZE, window=-1)


@pytest.mark.usefixtures("one_process")
def test_what_a_header_says_in_vain_is_noted_with_the_number(tmp_path: Path) -> None:
    source, out = tmp_path / "pictures", tmp_path / "cache"
    for n in range(24):
        header = {"WindowCenter": 100, "WindowWidth": 0} if n < 3 else {}
        write_mammogram(source / ("ill", "well")[n % 2] / f"{n}.dcm", mammogram(60, 40, seed=n), PatientID=f"P{n}", **header)
    result = prepare(read_image_folder(source), Preparation(16), out, source, workers=1)
    assert result.used == 24
    assert "3 of 24 images: window 1 of 1 ignored: Window Width 0, expected 1 or more" in result.summary.notes


@pytest.mark.slow
@pytest.mark.usefixtures("one_process")
def test_folds_by_command_test_every_patient_once(vindr: Path, tmp_path: Path, cli: Call) -> None:
    arguments = ("prepare", "vindr", vindr, "--task", "1-3/4-5", "--size", 16, "--workers", 1, "--json")
    tested: list[str] = []
    for fold in range(3):
        out = tmp_path / str(fold)
        told = cli(*arguments, "--out", out, "--split", "folds", "--folds", 3, "--fold", fold)
        assert told.code == 0, told.err
        tested += set(load_dataset(out).test.groups or ())
    assert sorted(tested) == sorted(f"study{study}" for study in range(STUDIES))
    told = cli(*arguments, "--out", tmp_path / "other", "--fold", 1)
    assert told.code == 2
    assert "Add --split folds" in told.err
    told = cli(*arguments, "--out", tmp_path / "other", "--val-fraction", 0.25)
    assert told.code == 0
    data = load_dataset(tmp_path / "other")
    assert len(data.val) == pytest.approx(len(data.train) / 3, abs=3)
    told = cli("prepare", "folder", vindr, "--size", 16, "--out", tmp_path / "other", "--folds", 3)
    assert told.code == 2
    assert "expected none for a folder" in told.err
