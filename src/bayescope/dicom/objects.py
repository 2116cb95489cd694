"""All objects about one image in one call."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from bayescope.data.preparation.mammogram import Record
from bayescope.dicom.capture import evidence_capture
from bayescope.dicom.evidence import evidence_on_source
from bayescope.dicom.identity import ModelIdentity
from bayescope.dicom.report import measurement_report
from bayescope.dicom.segmentation import evidence_segmentation
from bayescope.dicom.source import read_source
from bayescope.inference.explain import Explanation


def result_objects(
    path: Path,
    record: Mapping[str, Any],
    identity: ModelIdentity,
    codes: Mapping[str, Code] | None = None,
    frame: int | None = None,
    explanation: Explanation | None = None,
    preparation: Record | None = None,
    window: int = 0,
) -> list[Dataset]:
    """The measurement report of one image and, of an explanation, its evidence map as picture and segmentation.

    Parameters
    ----------
    path : Path
        DICOM file of the image.
    record : mapping
        Its prediction, one of :meth:`bayescope.inference.predictions.Predictions.records`.
    identity : ModelIdentity
        Of the model that made it.
    codes : mapping of str to Code, optional
        Codes of the classes by name; a class without one has a private code.
    frame : int, optional
        Number of the frame read, from 1; needed where the file has several.
    explanation : Explanation, optional
        Of the prediction; needs ``preparation``.
    preparation : Record, optional
        What was done to prepare the image; see :class:`bayescope.inference.read.ModelInput`.
    window : int, default 0
        Number of the VOI LUT or window, as the model's preparation has it.

    Returns
    -------
    list of Dataset
        A Comprehensive SR; with an explanation, a Secondary Capture and a Segmentation as well.

    Raises
    ------
    DataError
        If the file cannot be read, lacks a UID, or has no such frame.

    Examples
    --------
    >>> found = read_for_model(model, [Path("a.dcm")])  # doctest: +SKIP
    >>> (record,) = model.classify(found.pixels).records(model, found.names)  # doctest: +SKIP
    >>> (report,) = result_objects(Path("a.dcm"), record, ModelIdentity.of(Path("runs/mass")))  # doctest: +SKIP
    """
    source = read_source(path)
    report = measurement_report(source, record, identity, codes, frame)
    if explanation is None or preparation is None:
        return [report]
    return [report, *evidence_objects(path, explanation, preparation, identity, codes, frame, window)]


def evidence_objects(
    path: Path,
    explanation: Explanation,
    preparation: Record,
    identity: ModelIdentity,
    codes: Mapping[str, Code] | None = None,
    frame: int | None = None,
    window: int = 0,
) -> list[Dataset]:
    """The evidence map of one image as picture and segmentation.

    Parameters
    ----------
    path : Path
        DICOM file of the image.
    explanation : Explanation
        Of its prediction.
    preparation : Record
        What was done to prepare the image; see :class:`bayescope.inference.read.ModelInput`.
    identity : ModelIdentity
        Of the model.
    codes : mapping of str to Code, optional
        Codes of the classes by name; a class without one has a private code.
    frame : int, optional
        Number of the frame read, from 1; needed where the file has several.
    window : int, default 0
        Number of the VOI LUT or window, as the model's preparation has it.

    Returns
    -------
    list of Dataset
        A Secondary Capture and a Segmentation.

    Raises
    ------
    DataError
        If the file cannot be read, lacks a UID, has no such frame, or is not the one that was prepared.
    """
    source = read_source(path)
    found = evidence_on_source(path, explanation, preparation, frame, window)
    return [
        evidence_capture(source, found, identity, frame),
        evidence_segmentation(source, found, identity, codes, frame),
    ]
