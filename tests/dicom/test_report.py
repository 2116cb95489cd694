"""Measurement reports: valid whatever the source, with the numbers of the prediction, and the same object when made again."""

from copy import deepcopy
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom as hd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.valuerep import PersonName

from bayescope.dicom import ModelIdentity, measurement_report, to_bytes
from bayescope.dicom import codes as c
from bayescope.errors import DataError
from dicom_sources import SOURCES, instance, written
from services import Orthanc, dciodvfy_errors

MODEL = ModelIdentity("0123456789abcdef" * 4, "1.2.3")
TAKEN_OVER = ("StudyInstanceUID", "PatientID", "AccessionNumber", "StudyID", "StudyDescription", "StudyDate", "PatientAge")
MALIGNANT = Code("86049000", "SCT", "Malignant neoplasm, primary")
CODES = {"malignant": MALIGNANT}


def record(**changes: Any) -> dict[str, Any]:
    """A prediction with numbers that no decimal string of 16 characters holds."""
    return {
        "image": "a.dcm",
        "class": "malignant",
        "prevalence": {"normal or benign": 0.99, "malignant": 0.01},
        "posterior": {"normal or benign": 1 - 2 / 3, "malignant": 2 / 3},
        "posterior_error": {"normal or benign": 0.01 / 3, "malignant": 0.01 / 3},
        "log_likelihood_ratio": {"normal or benign": -5.2882670306945352, "malignant": 5.2882670306945352},
        "standard_error": {"normal or benign": 0.1 / 3, "malignant": 0.1 / 3},
        "raw_log_likelihood_ratio": {"normal or benign": -9.0, "malignant": 9.0},
        "calibrated": True,
        "calibration_images": {"normal or benign": 20, "malignant": 20},
        "prediction_set": ["malignant"],
        "abstained": False,
        "novelty_p_value": 1 / 7,
        "warnings": [],
        "seen": None,
        "passes": 24,
    } | changes


def report(source: Dataset, frame: int | None = None, **changes: Any) -> Dataset:
    frame = frame or (2 if source.get("NumberOfFrames") else None)
    return measurement_report(source, record(**changes), MODEL, CODES, frame)


def measured(found: Dataset) -> hd.sr.MeasurementsAndQualitativeEvaluations:
    """The only measurement group, read back by highdicom from the bytes of the file."""
    read = hd.sr.srread(BytesIO(to_bytes(found)))
    (group,) = read.content.get_image_measurement_groups()
    return group


def value(group: hd.sr.MeasurementsAndQualitativeEvaluations, name: Code) -> tuple[float, float | None, str]:
    """Value, uncertainty and unit of a measurement."""
    (found,) = group.get_measurements(name)
    errors = [part.value for part in found[0].get("ContentSequence", ()) if part.name.value in ("371886008", "371885007")]
    assert len(set(errors)) <= 1
    return found.value, errors[0] if errors else None, found.unit.value


@pytest.mark.parametrize("kind", SOURCES)
def test_passes_dciodvfy(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "report.dcm"
    path.write_bytes(to_bytes(report(written(SOURCES[kind]()))))
    assert dciodvfy_errors(path) == []


@pytest.mark.parametrize("kind", SOURCES)
def test_patient_and_study_are_those_of_the_source(kind: str) -> None:
    source = written(SOURCES[kind]())
    found = dcmread(BytesIO(to_bytes(report(source))))
    for keyword in (
        "StudyInstanceUID",
        "PatientID",
        "AccessionNumber",
        "StudyID",
        "StudyDescription",
        "StudyDate",
        "PatientAge",
    ):
        assert found.get(keyword, "") == source.get(keyword, ""), keyword
    for keyword in ("PatientName", "ReferringPhysicianName"):
        assert PersonName(found.get(keyword, "")) == PersonName(source.get(keyword, ""))


@pytest.mark.parametrize("kind", SOURCES)
def test_the_instance_read_is_the_evidence(kind: str) -> None:
    source = written(SOURCES[kind]())
    found = report(source)
    (study,) = found.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    (evidence,) = series.ReferencedSOPSequence
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == (source.StudyInstanceUID, source.SeriesInstanceUID)
    (image,) = measured(found).source_images
    for reference in (evidence, image.ReferencedSOPSequence[0]):
        assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert reference.ReferencedSOPClassUID == source.SOPClassUID
    assert image.ReferencedSOPSequence[0].get("ReferencedFrameNumber") == (2 if source.get("NumberOfFrames") else None)


def test_highdicom_reads_the_same_numbers() -> None:
    given = record()
    group = measured(report(instance()))
    assert group.finding_type == MALIGNANT
    assert value(group, codes.DCM.Probability) == (given["posterior"]["malignant"], given["posterior_error"]["malignant"], "1")
    ratio, error = given["log_likelihood_ratio"]["malignant"], given["standard_error"]["malignant"]
    assert value(group, c.LOG_LIKELIHOOD_RATIO) == (ratio, error, "{nat}")
    assert value(group, c.PREVALENCE) == (0.01, None, "1")
    assert value(group, c.NOVELTY) == (1 / 7, None, "1")
    by_meaning = {found.name.meaning: found.value for found in group.get_measurements()}
    assert by_meaning["Probability of normal or benign"] == 1 - 2 / 3
    assert by_meaning["Log-likelihood ratio of normal or benign"] == -ratio
    assert by_meaning["Prevalence assumed for normal or benign"] == 0.99


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(st.floats(0, 1), st.floats(-1e6, 1e6), st.floats(0, 1e6), st.floats(0, 1), st.text(min_size=1, max_size=80))
def test_any_numbers_come_back(probability: float, ratio: float, error: float, p_value: float, other: str) -> None:
    def each(of_the_finding: float, of_the_other: float) -> dict[str, float]:
        return {"the finding": of_the_finding, f"{other}!": of_the_other}

    group = measured(
        report(
            instance(),
            **{"class": "the finding"},
            prediction_set=["the finding", f"{other}!"],
            prevalence=each(probability, 1 - probability),
            posterior=each(probability, 1 - probability),
            posterior_error=each(error, error),
            log_likelihood_ratio=each(ratio, -ratio),
            standard_error=each(error, error),
            novelty_p_value=p_value,
        )
    )
    assert value(group, codes.DCM.Probability)[:2] == (probability, error)
    assert value(group, c.LOG_LIKELIHOOD_RATIO)[:2] == (ratio, error)
    assert value(group, c.NOVELTY)[0] == p_value
    assert len(group.get_measurements()) == 7


@pytest.mark.parametrize(("answer", "expected"), [(True, codes.SCT.Yes), (False, codes.SCT.No), (None, codes.SCT.NotEvaluated)])
def test_abstention_and_calibration_are_answered(answer: bool | None, expected: Code) -> None:
    group = measured(report(instance(), abstained=answer, calibrated=bool(answer)))
    (abstained,), (calibrated,) = (group.get_qualitative_evaluations(name) for name in (c.ABSTAINED, c.CALIBRATED))
    assert abstained.value == expected
    assert calibrated.value == (codes.SCT.Yes if answer else codes.SCT.No)


def test_the_prediction_set_is_listed() -> None:
    group = measured(report(instance(), prediction_set=["normal or benign", "malignant"]))
    members = [found.value for found in group.get_qualitative_evaluations(c.IN_SET)]
    assert [member.meaning for member in members] == ["normal or benign", MALIGNANT.meaning]
    assert [member.scheme_designator for member in members] == [c.SCHEME, "SCT"]


def test_what_is_not_estimated_is_left_out() -> None:
    nothing = {"normal or benign": None, "malignant": float("nan")}
    infinite = {"normal or benign": float("-inf"), "malignant": float("inf")}
    changes = {"posterior_error": nothing, "standard_error": nothing, "prediction_set": None, "novelty_p_value": None}
    group = measured(report(instance(), log_likelihood_ratio=infinite, **changes))
    assert value(group, codes.DCM.Probability)[1] is None
    assert group.get_measurements(c.LOG_LIKELIHOOD_RATIO) == group.get_measurements(c.NOVELTY) == []
    assert group.get_qualitative_evaluations(c.IN_SET) == []


def test_algorithm_and_model_are_identified() -> None:
    found = report(instance())
    items = {part.name.meaning: part.value for part in measured(found)[0].ContentSequence if part.ValueType == "TEXT"}
    assert (items["Algorithm Name"], items["Algorithm Version"]) == ("Bayescope", "1.2.3")
    assert (found.SoftwareVersions, found.DeviceSerialNumber) == ("1.2.3", MODEL.fingerprint)
    parameters = [part.value for part in measured(found)[0].ContentSequence if part.name == codes.DCM.AlgorithmParameters]
    assert parameters == [f"model fingerprint (SHA-256): {MODEL.fingerprint}", "network passes: 24"]


def comments(found: Dataset) -> list[str]:
    return [part.value for part in measured(found)[0].ContentSequence if part.name == codes.DCM.Comment]


def test_warnings_become_comments_in_one_line_each() -> None:
    found = report(instance(), abstained=True, seen="train", warnings=["unlike\nthe \\training images, größer"])
    assert comments(found) == [
        "For research, not for diagnosis",
        "Abstained: not sure enough to decide; the finding is no more than the most probable class",
        "The model was trained on this image",
        "unlike the  training images, größer",
    ]


@pytest.mark.parametrize(("side", "expected"), [("L", "Left"), ("R", "Right"), ("B", "Bilateral"), (None, None)])
def test_the_breast_and_its_side_are_the_finding_site(side: str | None, expected: str | None) -> None:
    (site,) = measured(report(instance(**({"ImageLaterality": side} if side else {})))).finding_sites
    assert site.value == codes.SCT.Breast
    assert (site.laterality and site.laterality.meaning) == expected


def test_made_again_it_is_the_same_object_with_the_same_bytes() -> None:
    source = instance()
    assert to_bytes(report(source)) == to_bytes(report(deepcopy(source)))


OTHERS = {
    "source": lambda: report(instance(SOPInstanceUID="1.2.3")),
    "prevalence": lambda: report(instance(), prevalence={"normal or benign": 0.5, "malignant": 0.5}),
    "passes": lambda: report(instance(), passes=12),
    "novelty": lambda: report(instance(), novelty_p_value=None),
    "model": lambda: measurement_report(instance(), record(), replace(MODEL, fingerprint="ff" * 32), CODES),
    "version": lambda: measurement_report(instance(), record(), replace(MODEL, version="1.2.4"), CODES),
    "codes": lambda: measurement_report(instance(), record(), MODEL),
    "frame": lambda: report(instance(frames=3), frame=3),
}


def test_another_content_is_another_object() -> None:
    uids = {report(instance()).SOPInstanceUID, report(instance(frames=3), frame=2).SOPInstanceUID}
    assert len(uids | {make().SOPInstanceUID for make in OTHERS.values()}) == 2 + len(OTHERS)


def test_reports_of_a_series_are_a_series() -> None:
    first, second = report(instance()), report(instance(SOPInstanceUID="1.2.3", InstanceNumber=3))
    assert first.SeriesInstanceUID == second.SeriesInstanceUID != instance().SeriesInstanceUID
    assert (first.InstanceNumber, second.InstanceNumber) == (2, 3)


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"])
@pytest.mark.parametrize("value", ["", None, "8f2c-11", "1" * 65])
def test_a_source_without_a_uid_is_refused(keyword: str, value: str | None) -> None:
    with pytest.raises(DataError, match=f"no valid {keyword}; expected"):
        report(instance(**{keyword: value}))


def test_a_uid_with_leading_zeros_is_repeated() -> None:
    """Against the standard, and found in many archives."""
    found = report(instance(SOPInstanceUID="1.2.840.0113619.05"))
    assert measured(found).source_images[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.840.0113619.05"


@pytest.mark.parametrize(("frames", "frame"), [(3, None), (3, 4), (3, 0), (1, 2)])
def test_a_frame_that_is_not_there_is_refused(frames: int, frame: int | None) -> None:
    with pytest.raises(DataError, match=f"of {frames}; expected a number from 1 to {frames}"):
        measurement_report(instance(frames=frames), record(), MODEL, frame=frame)


@pytest.mark.parametrize("kind", SOURCES)
def test_nothing_is_logged(kind: str, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder) -> None:
    """Warnings of the libraries quote names and dates of patients."""
    source = written(SOURCES[kind]())
    report(source)
    assert [str(warning.message) for warning in recwarn] == []
    assert caplog.messages == []


def test_the_source_stays_as_it_is() -> None:
    source = written(SOURCES["Japanese"]())
    before = deepcopy(source)
    report(source)
    assert source == before


def test_orthanc_gives_it_back_unchanged(orthanc: Orthanc, tmp_path: Path) -> None:
    found = report(written(SOURCES["Japanese"]()))
    path = tmp_path / "report.dcm"
    path.write_bytes(to_bytes(found))
    orthanc.store(path)
    assert orthanc.instance(found.SOPInstanceUID) == dcmread(path)
    assert orthanc.get_json("studies?expand")[0]["MainDicomTags"]["StudyInstanceUID"] == found.StudyInstanceUID
