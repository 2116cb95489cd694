"""Evidence maps as fractional Segmentations: one segment, the class that the evidence is for.

The value of a pixel is its evidence for the class over that of the strongest pixel, from 0 to 1; evidence against it is 0.
DICOM knows probability and occupancy as meanings of fractions (PS3.3 section C.8.20.2.3).  These are neither: of the two,
probability is stated, and the description says what they are.
"""

from collections.abc import Mapping

import numpy as np
from highdicom.content import AlgorithmIdentificationSequence
from highdicom.seg import Segmentation, SegmentDescription
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as dicom_codes
from pydicom.sr.coding import Code
from pydicom.uid import UID, ExplicitVRLittleEndian

from bayescope.dicom import codes as c
from bayescope.dicom.evidence import SourceEvidence
from bayescope.dicom.identity import MANUFACTURER, ModelIdentity
from bayescope.dicom.series import series_attributes
from bayescope.dicom.source import Source, source_of
from bayescope.types import Floats

_DESCRIPTION = "Evidence for the class, relative to the strongest pixel"
_CATEGORY = Code("309825002", "SCT", "Spatial and relational concept")


@disable_value_validation()  # which quotes the source in warnings
def evidence_segmentation(
    source: Dataset,
    found: SourceEvidence,
    identity: ModelIdentity,
    codes: Mapping[str, Code] | None = None,
    frame: int | None = None,
) -> Dataset:
    """The evidence map of one image as a segmentation.

    Parameters
    ----------
    source : Dataset
        The instance read; it stays as it is, and its pixels are not needed.
    found : SourceEvidence
        The map on the pixel grid of the source.
    identity : ModelIdentity
        Of the model that made it.
    codes : mapping of str to Code, optional
        Codes of the classes by name; a class without one has a private code.
    frame : int, optional
        Number of the frame read, from 1; needed where the instance has several.

    Returns
    -------
    Dataset
        A Segmentation of the source's patient and study, on its pixel grid.  Made again, it is the same object, as
        :func:`bayescope.dicom.measurement_report`.

    Raises
    ------
    DataError
        If the source lacks a UID, or the frame is missing or none of its frames.
    """
    read, code = source_of(source, frame), c.code_of_class(found.class_name, codes or {})
    key = [*found.key, *read.key, code.scheme_designator, code.value, code.meaning]
    made = Segmentation(
        source_images=[read.stand_in],
        pixel_array=relative_evidence(found.evidence)[None],
        segmentation_type="FRACTIONAL",
        fractional_type="PROBABILITY",
        segment_descriptions=[_segment(found.class_name, code, identity)],
        content_description=_DESCRIPTION,
        content_creator_name=f"{MANUFACTURER}^",
        content_label="EVIDENCE",
        omit_empty_frames=False,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **series_attributes(read, identity, "segmentation", key),
    )
    _settle(made, read, identity.uid("dimensions", *key))
    return read.finish(made)


def relative_evidence(evidence: Floats) -> Floats:
    """Evidence for the class as a share of that of the strongest pixel, 0 to 1; all 0 where nothing speaks for it."""
    favourable = np.maximum(evidence, 0.0)
    return favourable / (favourable.max() or 1.0)


def _segment(class_name: str, code: Code, identity: ModelIdentity) -> SegmentDescription:
    return SegmentDescription(
        segment_number=1,
        segment_label=c.text_of(class_name)[:64],
        segmented_property_category=_CATEGORY,
        segmented_property_type=code,
        algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=MANUFACTURER,
            family=dicom_codes.DCM.ArtificialIntelligence,
            version=identity.version,
            source=MANUFACTURER,
            parameters={"model fingerprint": identity.fingerprint},
        ),
    )


def _settle(made: Segmentation, read: Source, dimensions: UID) -> None:
    """The UID of the dimensions, which is drawn at random, and what the stand-in could not say: orientation and frame."""
    for part in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        part.DimensionOrganizationUID = dimensions
    made.PatientOrientation = read.patient_orientation
    (frame,) = made.PerFrameFunctionalGroupsSequence
    if read.frame is not None:
        frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber = read.frame
