"""Measurement reports: the prediction of one image as a structured report (PS3.16 TID 1500).

One measurement group (TID 1501) holds everything: the most probable class is its finding, and the image read its source.
"""

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

from highdicom import sr
from highdicom.sr.enum import RelationshipTypeValues
from highdicom.sr.value_types import TextContentItem
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as dicom_codes
from pydicom.sr.coding import Code

from bayescope.dicom import codes as c
from bayescope.dicom.identity import MANUFACTURER, ModelIdentity
from bayescope.dicom.series import series_attributes
from bayescope.dicom.source import Source, source_of

_ABSTAINED = "Abstained: not sure enough to decide; the finding is no more than the most probable class"
_SEEN = {"train": "The model was trained on this image", "val": "The model was validated on this image"}


@disable_value_validation()  # which quotes the source in warnings
def measurement_report(
    source: Dataset,
    record: Mapping[str, Any],
    identity: ModelIdentity,
    codes: Mapping[str, Code] | None = None,
    frame: int | None = None,
) -> Dataset:
    """The prediction of one image as a measurement report.

    Parameters
    ----------
    source : Dataset
        The instance read; it stays as it is, and its pixels are not needed.
    record : mapping
        The prediction, one of :meth:`bayescope.inference.predictions.Predictions.records`.
    identity : ModelIdentity
        Of the model that made it.
    codes : mapping of str to Code, optional
        Codes of the classes by name; a class without one has a private code.
    frame : int, optional
        Number of the frame read, from 1; needed where the instance has several.

    Returns
    -------
    Dataset
        A Comprehensive SR of the source's patient and study.  Its UIDs follow from source, frame, model, prevalence, passes
        and codes, and its date is the source's: made again, it is the same object, byte by byte.

    Raises
    ------
    DataError
        If the source lacks a UID, or the frame is missing or none of its frames.
    """
    read, codes = source_of(source, frame), codes or {}
    key = [*read.key, record["prevalence"], record["passes"], record["novelty_p_value"] is not None]
    key += [sorted((name, code.scheme_designator, code.value, code.meaning) for name, code in codes.items())]
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer(identity)),
        procedure_reported=c.PROCEDURES.get(read.header.get("Modality", ""), c.IMAGING),
        imaging_measurements=[_measurement_group(read, record, identity, codes, key)],
    )
    made = sr.ComprehensiveSR(
        evidence=[read.stand_in],
        content=report,
        is_complete=True,
        coding_schemes=[c.coding_scheme()],
        **series_attributes(read, identity, "report", key),
    )
    return read.finish(made)


def algorithm(identity: ModelIdentity, *parameters: str) -> sr.AlgorithmIdentification:
    """What made a prediction."""
    return sr.AlgorithmIdentification(
        name=MANUFACTURER,
        version=identity.version,
        parameters=[f"model fingerprint (SHA-256): {identity.fingerprint}", *parameters],
        family=dicom_codes.DCM.ArtificialIntelligence,
        manufacturer=MANUFACTURER,
    )


def observer(identity: ModelIdentity) -> sr.ObserverContext:
    """The model as the observer of a report."""
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=identity.uid("device"),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=MANUFACTURER,
        serial_number=identity.fingerprint,
    )
    return sr.ObserverContext(dicom_codes.DCM.Device, device)


def _measurement_group(
    read: Source, record: Mapping[str, Any], identity: ModelIdentity, codes: Mapping[str, Code], key: list[Any]
) -> sr.MeasurementsAndQualitativeEvaluations:
    frames = None if read.frame is None else [read.frame]
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(identity.uid("tracking", *key), "Classification of the image"),
        finding_type=c.code_of_class(record["class"], codes),
        algorithm_id=algorithm(identity, f"network passes: {record['passes']}"),
        finding_sites=_finding_sites(read),
        measurements=list(measurements_of(record)),
        qualitative_evaluations=list(_evaluations(record, codes)),
        source_images=[sr.SourceImageForMeasurementGroup(read.stand_in.SOPClassUID, read.uid, frames)],
    )
    group[0].ContentSequence.extend(comment(text) for text in _comments(record))
    return group


def _finding_sites(read: Source) -> list[sr.FindingSite]:
    """The breast and its side, of a mammogram."""
    if read.header.get("Modality") != "MG":
        return []
    side = c.SIDES.get(read.laterality or "")
    return [sr.FindingSite(dicom_codes.SCT.Breast, laterality=side)]


def measurements_of(record: Mapping[str, Any]) -> Iterator[sr.Measurement]:
    """Those of the finding first; what could not be estimated is left out."""
    found = record["class"]
    names = (found, *(name for name in record["posterior"] if name != found))
    for name in names:
        probability, ratio, prevalence = (c.PROBABILITY, c.LOG_LIKELIHOOD_RATIO, c.PREVALENCE)
        if name != found:
            probability = c.code_about(name, "P", "Probability of {}")
            ratio = c.code_about(name, "L", "Log-likelihood ratio of {}")
            prevalence = c.code_about(name, "V", "Prevalence assumed for {}")
        for code, value, unit, error in (
            (probability, record["posterior"][name], c.NO_UNITS, record["posterior_error"][name]),
            (ratio, record["log_likelihood_ratio"][name], c.NAT, record["standard_error"][name]),
            (prevalence, record["prevalence"][name], c.NO_UNITS, None),
        ):
            if _is_number(value):
                yield sr.Measurement(code, float(value), unit, properties=_uncertainty(error))
    if _is_number(record.get("novelty_p_value")):
        yield sr.Measurement(c.NOVELTY, float(record["novelty_p_value"]), c.NO_UNITS)


def _is_number(value: float | None) -> bool:
    return value is not None and isfinite(value)


def _uncertainty(error: float | None) -> sr.MeasurementProperties | None:
    """One standard error either way (PS3.16 TID 310)."""
    if error is None or not isfinite(error):
        return None
    return sr.MeasurementProperties(upper_measurement_uncertainty=float(error), lower_measurement_uncertainty=float(error))


def _evaluations(record: Mapping[str, Any], codes: Mapping[str, Code]) -> Iterator[sr.QualitativeEvaluation]:
    yield sr.QualitativeEvaluation(c.ABSTAINED, c.yes_or_no(record["abstained"]))
    yield sr.QualitativeEvaluation(c.CALIBRATED, c.yes_or_no(record["calibrated"]))
    for name in record["prediction_set"] or ():
        yield sr.QualitativeEvaluation(c.IN_SET, c.code_of_class(name, codes))


def _comments(record: Mapping[str, Any]) -> Iterator[str]:
    yield c.RESEARCH_ONLY
    if record["abstained"]:
        yield _ABSTAINED
    if record.get("seen"):
        yield _SEEN[record["seen"]]
    yield from record["warnings"]


def comment(text: str) -> TextContentItem:
    """A comment in a measurement group."""
    return TextContentItem(dicom_codes.DCM.Comment, c.text_of(text), relationship_type=RelationshipTypeValues.CONTAINS)
