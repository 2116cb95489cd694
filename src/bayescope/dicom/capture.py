"""Evidence maps as Secondary Captures: the image read, tinted by its evidence, with what must not be overlooked burnt in.

The picture keeps the pixel grid of the source, or a whole multiple of it where that is small; a band of text lies below.
"""

from math import ceil, exp
from pathlib import Path

import numpy as np
from highdicom.sc import SCImage
from matplotlib import colormaps, get_data_path
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as dicom_codes
from pydicom.uid import RLELossless

from bayescope.dicom import codes as c
from bayescope.dicom.evidence import SourceEvidence
from bayescope.dicom.identity import MANUFACTURER, ModelIdentity
from bayescope.dicom.source import Source, source_of
from bayescope.evaluation.report.overlay import COLOURS, reach_of, tinted

SERIES_NUMBER, SERIES_DESCRIPTION = 9902, "Bayescope: evidence maps"
_LEAST_WIDTH = 512
_LINES_PER_WIDTH = 34
"""Font size is the width over this."""
_FONTS = Path(get_data_path()) / "fonts" / "ttf"
_WHITE, _YELLOW = (235, 235, 235), (255, 210, 60)


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
    content_date, content_time = read.content_moment
    zoom = max(1, ceil(_LEAST_WIDTH / found.picture.shape[1]))
    made = SCImage.from_ref_dataset(
        read.stand_in,
        pixel_array=draw(found, identity, read.laterality, zoom),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        series_instance_uid=identity.uid("capture series", str(read.header.SeriesInstanceUID), read.laterality),
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
        sop_instance_uid=identity.uid("capture", *read.key, *found.key),
        instance_number=read.instance_number,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=identity.version,
        device_serial_number=identity.fingerprint,
        content_date=content_date,
        content_time=content_time,
        transfer_syntax_uid=RLELossless,
    )
    _take_over(made, read, zoom)
    made.BurnedInAnnotation = "YES"
    made.DerivationDescription = c.text_of(found.explanation.title())
    made.ImageComments = c.RESEARCH_ONLY
    made.SourceImageSequence = [_reference(read)]
    return read.finish(made)


def draw(found: SourceEvidence, identity: ModelIdentity, laterality: str | None, zoom: int = 1) -> NDArray[np.uint8]:
    """The tinted picture, each pixel ``zoom`` by ``zoom``, with text below: ``(rows, columns, 3)``."""
    tint = np.kron(tinted(found.picture, found.evidence), np.ones((zoom, zoom, 1), np.uint8))
    rows, columns = tint.shape[:2]
    size = max(9, columns // _LINES_PER_WIDTH)
    lines = _lines(found, identity)
    band = round(1.45 * size * (len(lines) + 2.4))
    canvas = Image.new("RGB", (columns, rows + band))
    canvas.paste(Image.fromarray(tint), (0, 0))
    pen = ImageDraw.Draw(canvas)
    for i, (text, colour, bold) in enumerate(lines):
        pen.text((size, rows + size * (0.6 + 1.45 * i)), text, colour, _font(text, size, bold, columns - 2 * size))
    _draw_scale(canvas, reach_of(found.evidence), (size, rows + round(size * (1.1 + 1.45 * len(lines)))), size)
    if laterality:
        _draw_marker(pen, laterality, found.chest_wall, columns, 2 * size)
    return np.asarray(canvas)


def _lines(found: SourceEvidence, identity: ModelIdentity) -> list[tuple[str, tuple[int, int, int], bool]]:
    """Text, colour, and whether it is bold."""
    explanation, winner = found.explanation, found.explanation.winner
    ratio = float(explanation.evidence_map.log_ratio[0])
    probability = explanation.predictions.posterior[0, winner]
    prevalence = explanation.predictions.class_prior[winner]
    return [
        (c.RESEARCH_ONLY.upper(), _YELLOW, True),
        (explanation.title(), _WHITE, True),
        (f"{exp(ratio):.3g} times as likely; probability {probability:.1%} at prevalence {prevalence:.3g}", _WHITE, False),
        (f"{MANUFACTURER} {identity.version}, model {identity.fingerprint[:12]}", _WHITE, False),
    ]


def _font(text: str, size: int, bold: bool, width: int) -> ImageFont.FreeTypeFont:
    """Of ``size``, or as much smaller as ``text`` needs to fit into ``width``."""
    path = _FONTS / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")
    font = ImageFont.truetype(path, size)
    return font.font_variant(size=max(6, int(size * width / length))) if (length := font.getlength(text)) > width else font


def _draw_scale(canvas: Image.Image, reach: float, corner: tuple[int, int], size: int) -> None:
    """The colours from against to for, with their ends in nats."""
    left, top = corner
    width = (canvas.width - 2 * size) // 2
    ramp = colormaps[COLOURS](np.linspace(0, 1, width))[None, :, :3] * 255
    canvas.paste(Image.fromarray(np.broadcast_to(ramp, (size, width, 3)).round().astype(np.uint8)), (left, top))
    pen, font = ImageDraw.Draw(canvas), _font("", max(7, round(0.8 * size)), False, width)
    below = top + round(1.2 * size)
    for at, text, anchor in ((0, f"{-reach:.2g}", "la"), (width // 2, "0", "ma"), (width, f"+{reach:.2g}", "ra")):
        pen.text((left + at, below), text, _WHITE, font, anchor=anchor)
    pen.text((left + width + size, top), "nats per pixel of the map:\nblue against, red for", _WHITE, font)


def _draw_marker(pen: ImageDraw.ImageDraw, laterality: str, chest_wall: str | None, columns: int, size: int) -> None:
    """The side in an upper corner, away from the chest wall."""
    at, anchor = ((size // 2, size // 2), "la") if chest_wall == "right" else ((columns - size // 2, size // 2), "ra")
    pen.text(at, laterality, _WHITE, _font(laterality, size, True, columns), anchor=anchor, stroke_width=2, stroke_fill=0)


def _take_over(made: Dataset, read: Source, zoom: int) -> None:
    """Orientation, side, and shape of the pixels, as far as the source has them."""
    made.PatientOrientation = read.header.get("PatientOrientation") or ""
    made.Laterality = read.laterality if read.laterality in ("L", "R") else ""
    if spacing := read.header.get("PixelSpacing"):
        made.PixelSpacing = [value / zoom for value in spacing]
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
