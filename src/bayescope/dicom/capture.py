"""Evidence maps as Secondary Captures: pictures that any viewer shows."""

from fractions import Fraction

from highdicom.sc import SCImage
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as dicom_codes
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import DS

from bayescope.data.formats.dicom.header import view
from bayescope.dicom import codes as c
from bayescope.dicom.evidence import SourceEvidence
from bayescope.dicom.identity import ModelIdentity
from bayescope.dicom.picture import draw, magnification
from bayescope.dicom.series import series_attributes
from bayescope.dicom.source import Source, source_of


@disable_value_validation()  # which quotes the source in warnings
def evidence_capture(source: Dataset, found: SourceEvidence, identity: ModelIdentity, frame: int | None = None) -> Dataset:
    """The evidence map of one image as a picture.

    Parameters
    ----------
    source : Dataset
        The instance read; it stays as it is, and its pixels are not needed.
    found : SourceEvidence
        The map on the pixel grid of the source.
    identity : ModelIdentity
        Of the model that made it.
    frame : int, optional
        Number of the frame read, from 1; needed where the instance has several.

    Returns
    -------
    Dataset
        A Secondary Capture of the source's patient and study.  Made again, it is the same object, as
        :func:`bayescope.dicom.measurement_report`.

    Raises
    ------
    DataError
        If the source lacks a UID, or the frame is missing or none of its frames.
    """
    read = source_of(source, frame)
    made = SCImage.from_ref_dataset(
        read.stand_in,
        pixel_array=draw(found, identity, _marker(read)),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **series_attributes(read, identity, "capture", (*read.key, *found.key), apart=[read.laterality]),
    )
    _take_over(made, read, magnification(found.picture.shape[1]))
    made.BurnedInAnnotation = "YES"
    made.DerivationDescription = c.text_of(found.explanation.title())
    made.ImageComments = c.RESEARCH_ONLY
    made.SourceImageSequence = [_reference(read)]
    return read.finish(made)


def _marker(read: Source) -> str:
    """Side and view as the header has them, for instance ``R MLO``."""
    return " ".join(filter(None, (read.laterality, view(read.header))))


def _take_over(made: Dataset, read: Source, scale: Fraction) -> None:
    """Orientation, side, and shape of the pixels, as far as the source has them."""
    made.PatientOrientation = read.patient_orientation
    made.Laterality = read.laterality if read.laterality in ("L", "R") else ""
    if spacing := read.pixel_spacing:
        made.PixelSpacing = [DS(value / float(scale), auto_format=True) for value in spacing]
    elif ratio := read.header.get("PixelAspectRatio"):
        made.PixelAspectRatio = ratio


def _reference(read: Source) -> Dataset:
    """The source, as the image that another was computed from (PS3.3 section C.7.6.1.1.4)."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = read.header.SOPClassUID, read.uid
    if read.frame is not None:
        item.ReferencedFrameNumber = read.frame
    purpose = dicom_codes.DCM.SourceImageForImageProcessingOperation
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = purpose.value, purpose.scheme_designator, purpose.meaning
    item.PurposeOfReferenceCodeSequence = [code]
    return item
