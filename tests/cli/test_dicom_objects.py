"""DICOM objects from the command line: one for each DICOM image, none where there cannot be one, nothing replaced unasked."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from bayescope.dicom import codes as c
from conftest import Told
from mammograms import SYNTAXES, mammogram, write_mammogram
from services import Orthanc, dciodvfy_errors

Call = Callable[..., Told]
UIDS = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4"}
CODES = '[dicom.codes.ill]\nscheme = "SCT"\nvalue = "39104002"\nmeaning = "Illness"\n'


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write_mammogram(tmp_path / "a.dcm", mammogram(24, 16, seed=3), PatientName="Müller^Jürgen", **UIDS)


def measurements(path: Path) -> hd.sr.MeasurementsAndQualitativeEvaluations:
    (group,) = hd.sr.srread(path).content.get_image_measurement_groups()
    return group


def test_a_report_has_the_numbers_that_are_printed(cli: Call, prepared_run: Path, image: Path, tmp_path: Path) -> None:
    told = cli("classify", prepared_run, image, "--sr", tmp_path / "sr", "--json", "--prevalence", "ill=0.2,well=0.8")
    assert told.code == 0
    printed = json.loads(told.out)
    (path,) = (tmp_path / "sr").iterdir()
    assert dciodvfy_errors(path) == []
    group = measurements(path)
    for name, expected in (
        (codes.DCM.Probability, printed["posterior"]),
        (c.LOG_LIKELIHOOD_RATIO, printed["log_likelihood_ratio"]),
        (c.PREVALENCE, printed["prevalence"]),
    ):
        (found,) = group.get_measurements(name)
        assert found.value == expected[printed["class"]]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_any_transfer_syntax(cli: Call, prepared_run: Path, tmp_path: Path, syntax: str) -> None:
    image = write_mammogram(tmp_path / "a.dcm", mammogram(24, 16), syntax=syntax, **UIDS)
    assert cli("classify", prepared_run, image, "--sr", tmp_path / "out").code == 0
    assert cli("explain", prepared_run, image, "--out", tmp_path / "why", "--dicom", tmp_path / "out").code == 0
    found = sorted((tmp_path / "out").iterdir())
    assert [dcmread(path).Modality for path in found] == ["OT", "SEG", "SR"]
    assert [dciodvfy_errors(path) for path in found] == [[], [], []]


@pytest.mark.slow
def test_each_frame_has_its_objects(cli: Call, prepared_run: Path, tmp_path: Path) -> None:
    image = write_mammogram(tmp_path / "a.dcm", mammogram(24, 16), frames=3, **UIDS)
    assert cli("classify", prepared_run, image, "--frame", "all", "--sr", tmp_path / "sr").code == 0
    frames = [
        measurements(path).source_images[0].ReferencedSOPSequence[0].ReferencedFrameNumber for path in _in(tmp_path / "sr")
    ]
    assert sorted(frames) == [1, 2, 3]
    words = ("explain", prepared_run, image, "--out", tmp_path / "why", "--dicom", tmp_path / "map")
    assert cli(*words, "--frame", 2).code == 0
    assert cli(*words, "--frame", 3).code == 0
    assert len(_in(tmp_path / "map")) == 4


def test_codes_come_from_a_file_or_from_the_run(cli: Call, prepared_run: Path, image: Path, tmp_path: Path) -> None:
    file, run = tmp_path / "codes.toml", tmp_path / "run"
    file.write_text(CODES)
    shutil.copytree(prepared_run, run)
    with (run / "config.toml").open("a") as config:
        config.write(CODES)
    sure = ("--prevalence", "ill=0.999,well=0.001")
    assert cli("classify", prepared_run, image, "--sr", tmp_path / "a", "--codes", file, *sure).code == 0
    assert cli("classify", run, image, "--sr", tmp_path / "b", *sure).code == 0
    for folder in ("a", "b"):
        (path,) = _in(tmp_path / folder)
        assert measurements(path).finding_type == Code("39104002", "SCT", "Illness")


def test_again_changes_nothing(cli: Call, prepared_run: Path, image: Path, tmp_path: Path) -> None:
    words = ("classify", prepared_run, image, "--sr", tmp_path / "sr")
    assert cli(*words).code == 0
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in _in(tmp_path / "sr")}
    assert cli(*words).code == 0
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in _in(tmp_path / "sr")} == before


def test_another_file_of_the_name_is_replaced_by_force_alone(
    cli: Call, prepared_run: Path, image: Path, tmp_path: Path
) -> None:
    words = ("classify", prepared_run, image, "--sr", tmp_path / "sr")
    cli(*words)
    (path,) = _in(tmp_path / "sr")
    content = path.read_bytes()
    path.write_bytes(b"other")
    told = cli(*words)
    assert (told.code, path.read_bytes()) == (2, b"other")
    assert "a.dcm" in told.out  # what was found is told all the same
    assert cli(*words, "--force").code == 0
    assert path.read_bytes() == content


def test_images_without_a_report_are_named(cli: Call, prepared_run: Path, image: Path, tmp_path: Path) -> None:
    Image.fromarray((mammogram(24, 16) >> 4).astype(np.uint8)).save(tmp_path / "b.png")
    bare = write_mammogram(tmp_path / "c.dcm", mammogram(24, 16))
    told = cli("classify", prepared_run, tmp_path / "b.png", bare, image, "--sr", tmp_path / "sr")
    assert told.code == 1
    assert f"no report: {tmp_path / 'b.png'}: no DICOM file" in told.err
    assert f"no report: {bare}: the source has no valid SeriesInstanceUID, StudyInstanceUID" in told.err
    assert len(_in(tmp_path / "sr")) == 1


def test_patients_are_not_named_on_screen(cli: Call, prepared_run: Path, tmp_path: Path) -> None:
    image = write_mammogram(tmp_path / "a.dcm", mammogram(24, 16), PatientName="SECRET", PatientID="SECRET", **UIDS)
    for words in (("classify", "--sr", tmp_path / "o"), ("explain", "--out", tmp_path / "why", "--dicom", tmp_path / "o")):
        told = cli(words[0], prepared_run, image, *words[1:])
        assert told.code == 0
        assert "SECRET" not in told.out + told.err
    assert not [path for path in _in(tmp_path / "o") if "SECRET" in path.name]


def test_all_arrive_in_the_study_at_orthanc(
    cli: Call, prepared_run: Path, image: Path, orthanc: Orthanc, tmp_path: Path
) -> None:
    orthanc.store(image)
    cli("classify", prepared_run, image, "--sr", tmp_path / "out")
    cli("explain", prepared_run, image, "--out", tmp_path / "why", "--dicom", tmp_path / "out")
    for path in [*_in(tmp_path / "out")] * 2:
        orthanc.store(path)
        assert orthanc.instance(dcmread(path).SOPInstanceUID) == dcmread(path)
    (study,) = orthanc.get_json("studies?expand")
    assert len(study["Series"]) == len(orthanc.instance_uids()) == 4


def _in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())
