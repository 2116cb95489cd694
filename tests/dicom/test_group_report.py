"""The report of several images: valid, with the shares of the images referred to, and the same bytes when made again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highdicom as hd
import pytest
from pydicom.dataset import Dataset

from bayescope.dicom import ModelIdentity, codes, group_report, to_bytes
from bayescope.errors import DataError
from conftest import Told
from dicom_sources import instance
from mammograms import mammogram, write_mammogram
from services import dciodvfy_errors

IDENTITY = ModelIdentity("ab" * 32)


def record(**changes: Any) -> dict[str, Any]:
    """Of two images whose shares sum to the ratio."""
    two = {"malignant": 1.5, "benign": -1.5}
    found = {
        "breast": "P-1 L",
        "class": "malignant",
        "rule": "all images of a breast show the same class",
        "prevalence": {"malignant": 0.5, "benign": 0.5},
        "posterior": {"malignant": 0.8, "benign": 0.2},
        "posterior_error": {"malignant": 0.02, "benign": 0.02},
        "log_likelihood_ratio": two,
        "standard_error": {"malignant": 0.1, "benign": 0.1},
        "shares": {"cc.dcm": {"malignant": 1.75, "benign": -1.75}, "mlo.dcm": {"malignant": -0.25, "benign": 0.25}},
        "correlation": 0.4,
        "calibrated": True,
        "warnings": ["learned on few groups"],
        "passes": 80,
    }
    return found | changes


def sources(**elements: Any) -> list[Dataset]:
    return [instance(SOPInstanceUID=f"1.2.3.{i}", ImageLaterality="L", ViewPosition="CC", **elements) for i in range(2)]


def written(made: Dataset, folder: Path) -> Path:
    path = folder / "sr.dcm"
    path.write_bytes(to_bytes(made))
    return path


def test_it_is_valid_and_holds_ratio_and_shares(tmp_path: Path) -> None:
    path = written(group_report(sources(), record(), IDENTITY), tmp_path)
    assert dciodvfy_errors(path) == []
    (group,) = hd.sr.srread(path).content.get_image_measurement_groups()
    (ratio,) = group.get_measurements(codes.LOG_LIKELIHOOD_RATIO)
    shares = group.get_measurements(codes.SHARE)
    assert sum(share.value for share in shares) == pytest.approx(ratio.value) == 1.5
    assert [share.referenced_images[0].referenced_sop_instance_uid for share in shares] == ["1.2.3.0", "1.2.3.1"]
    assert group.finding_sites[0].laterality.meaning == "Left"


def test_made_again_it_is_the_same(tmp_path: Path) -> None:
    once, again = (to_bytes(group_report(sources(), record(), IDENTITY)) for _ in range(2))
    other = group_report(sources(), record(correlation=0.5), IDENTITY)
    assert once == again
    assert other.SOPInstanceUID != group_report(sources(), record(), IDENTITY).SOPInstanceUID


def test_an_image_that_cannot_be_referred_to_is_refused() -> None:
    with pytest.raises(DataError, match="SOPInstanceUID"):
        group_report([sources()[0], instance(SOPInstanceUID="")], record(), IDENTITY)


@pytest.mark.parametrize("other", ["P2", ""])
def test_a_report_is_of_one_patient(other: str) -> None:
    with pytest.raises(DataError, match="images of several patients in one group"):
        group_report([sources(PatientID="P1")[0], sources(PatientID=other)[1]], record(), IDENTITY)


def test_the_command_writes_one_of_each_breast(cli: Callable[..., Told], prepared_run: Path, tmp_path: Path) -> None:
    for i, side in enumerate("LLR"):
        of = {"PatientID": "P1", "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4", "ImageLaterality": side}
        write_mammogram(tmp_path / "study" / f"{i}.dcm", mammogram(24, 16, seed=i), SOPInstanceUID=f"1.2.3.4.{i}", **of)
    words = "classify", prepared_run, tmp_path / "study", "--by", "breast", "--json", "--sr", tmp_path / "sr"
    told = cli(*words)
    assert told.code == 0, told.err
    reports = [hd.sr.srread(path) for path in (tmp_path / "sr").iterdir()]
    assert len(reports) == 4, "of three images, and of the breast that has two"
    (group,) = [
        found
        for found in (report.content.get_image_measurement_groups()[0] for report in reports)
        if found.get_measurements(codes.SHARE)
    ]
    printed = next(line for line in map(json.loads, told.out.splitlines()) if line.get("breast") == "P1 L")
    assert group.get_measurements(codes.LOG_LIKELIHOOD_RATIO)[0].value == printed["log_likelihood_ratio"][printed["class"]]
    assert cli(*words).code == 0, "the same reports are there already"
