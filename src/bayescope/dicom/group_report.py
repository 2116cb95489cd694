"""Measurement reports about several images of a patient, breast or study: one ratio, and the share of each image in it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from highdicom import sr
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as dicom_codes
from pydicom.sr.coding import Code

from bayescope.dicom import codes as c
from bayescope.dicom.identity import ModelIdentity
from bayescope.dicom.report import algorithm, comment, measurements_of, observer
from bayescope.dicom.series import series_attributes
from bayescope.dicom.source import Source, source_of
from bayescope.errors import DataError


@disable_value_validation()  # which quotes the sources in warnings
def group_report(
    sources: Sequence[Dataset],
    record: Mapping[str, Any],
    identity: ModelIdentity,
    codes: Mapping[str, Code] | None = None,
    frames: Sequence[int | None] | None = None,
    left_out: int = 0,
) -> Dataset:
    """The prediction of several images of a patient, breast or study as one measurement report (PS3.16 TID 1500).

    Parameters
    ----------
    sources : sequence of Dataset
        The instances read, in the order of the images of ``record``; their pixels are not needed.
    record : mapping
        The prediction, one of :meth:`bayescope.inference.groups.GroupPredictions.records`.
    identity : ModelIdentity
        Of the model that made it.
    codes : mapping of str to Code, optional
        Codes of the classes by name; a class without one has a private code.
    frames : sequence of int or None, optional
        Number of the frame read of each instance, from 1; needed where one has several.
    left_out : int, default 0
        Number of further images of the patient, breast or study that could not be read.

    Returns
    -------
    Dataset
        A Comprehensive SR of the patient and study of the first source.  Its one measurement group holds probability,
        log-likelihood ratio and prevalence of each class, and the share of each image in the ratio of the finding, with a
        reference to the image; the shares sum to the ratio.  Made again, it is the same object, byte by byte.

    Raises
    ------
    DataError
        If a source lacks a UID, a frame is missing or none of its frames, or Patient IDs differ.
    """
    reads = [source_of(*pair) for pair in zip(sources, frames or [None] * len(sources), strict=True)]
    if len({str(read.header.get("PatientID") or "").strip() for read in reads}) > 1:
        raise DataError(
            "images of several patients in one group; expected one, to whom a report belongs. Correct Patient IDs and Study "
            "Instance UIDs at the source, or group the images otherwise"
        )
    first, codes = reads[0], codes or {}
    key = [
        "group",
        record["rule"],
        record["prevalence"],
        record["correlation"],
        record["passes"],
        *(read.key for read in reads),
    ]
    key += [sorted((name, code.scheme_designator, code.value, code.meaning) for name, code in codes.items())]
    key += [["left out", left_out]] if left_out else []
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(identity.uid("tracking", *key), "Classification of several images"),
        finding_type=c.code_of_class(record["class"], codes),
        algorithm_id=algorithm(identity, f"network passes: {record['passes']}"),
        finding_sites=_finding_sites(reads),
        measurements=[*measurements_of(record), *_shares(reads, record)],
        qualitative_evaluations=[sr.QualitativeEvaluation(c.CALIBRATED, c.yes_or_no(record["calibrated"]))],
    )
    comments = (c.RESEARCH_ONLY, record["rule"], _count(len(reads), left_out), *record["warnings"])
    group[0].ContentSequence.extend(map(comment, comments))
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer(identity)),
        procedure_reported=c.PROCEDURES.get(first.header.get("Modality", ""), c.IMAGING),
        imaging_measurements=[group],
    )
    made = sr.ComprehensiveSR(
        evidence=[read.stand_in for read in reads],
        content=report,
        is_complete=True,
        coding_schemes=[c.coding_scheme()],
        **series_attributes(first, identity, "report", key, apart=["group"]),
    )
    for read in reversed(reads):
        made = read.finish(made)
    return made


def _count(combined: int, left_out: int) -> str:
    return f"{combined} images combined{f'; {left_out} more could not be read' if left_out else ''}"


def _shares(reads: Sequence[Source], record: Mapping[str, Any]) -> Iterator[sr.Measurement]:
    """The share of each image in the ratio of the finding, and how far the images depend on each other."""
    for read, share in zip(reads, record["shares"].values(), strict=True):
        frames = None if read.frame is None else [read.frame]
        image = sr.SourceImageForMeasurement(read.stand_in.SOPClassUID, read.uid, frames)
        yield sr.Measurement(c.SHARE, float(share[record["class"]]), c.NAT, referenced_images=[image])
    yield sr.Measurement(c.CORRELATION, float(record["correlation"]), c.NO_UNITS)


def _finding_sites(reads: Sequence[Source]) -> list[sr.FindingSite]:
    """The breast and its side, or both, of mammograms."""
    if any(read.header.get("Modality") != "MG" for read in reads):
        return []
    sides = {read.laterality for read in reads}
    side = sides.pop() if len(sides) == 1 else None if None in sides else "B"
    return [sr.FindingSite(dicom_codes.SCT.Breast, laterality=c.SIDES.get(side or ""))]
