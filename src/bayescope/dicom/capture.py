"""Evidence maps as Secondary Captures: the image read, tinted by its evidence, with what must not be overlooked burnt in.

The picture keeps the pixel grid of the source, or a whole multiple of it where that is small; a band of text lies below.
"""

from math import ceil, exp, isfinite, log
from pathlib import Path

import numpy as np
from highdicom.sc import SCImage
from matplotlib import get_data_path
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as dicom_codes
from pydicom.uid import RLELossless
from scipy.ndimage import binary_erosion

from bayescope.data.formats.dicom.header import view
from bayescope.dicom import codes as c
from bayescope.dicom.evidence import SourceEvidence
from bayescope.dicom.identity import MANUFACTURER, ModelIdentity
from bayescope.dicom.source import Source, source_of
from bayescope.types import Floats

SERIES_NUMBER, SERIES_DESCRIPTION = 9902, "Bayescope: evidence maps"
_LEAST_WIDTH = 512
_LINES_PER_WIDTH = 34
"""Font size is the width over this."""
_FONTS = Path(get_data_path()) / "fonts" / "ttf"
_OUTLINES_PER_SIDE = 500
"""An outline is as wide as the longer side over this."""
_MANY_NATS = 13.0
_STRONGEST_TINT, _GRAY = 0.7, 70
_FOR, _AGAINST = (255, 120, 40), (60, 150, 255)
_WHITE, _YELLOW = (235, 235, 235), (255, 225, 70)


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
        pixel_array=draw(found, identity, _marker(read), zoom),
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


def draw(found: SourceEvidence, identity: ModelIdentity, marker: str, zoom: int = 1) -> NDArray[np.uint8]:
    """The tinted picture with the ``marker`` of its side, enlarged ``zoom`` times, and text below: ``(rows, columns, 3)``."""
    tint = np.kron(tinted(found), np.ones((zoom, zoom, 1), np.uint8))
    rows, columns = tint.shape[:2]
    size = max(9, columns // _LINES_PER_WIDTH)
    lines = _lines(found, identity)
    canvas = Image.new("RGB", (columns, rows + round(1.45 * size * (len(lines) + 2.4))))
    canvas.paste(Image.fromarray(tint), (0, 0))
    pen = ImageDraw.Draw(canvas)
    for i, (text, colour, bold) in enumerate(lines):
        pen.text((size, rows + size * (0.6 + 1.45 * i)), text, colour, _font(text, size, bold, columns - 2 * size))
    _draw_scale(canvas, float(np.abs(found.evidence).max()), (size, rows + round(size * (1.1 + 1.45 * len(lines)))), size)
    _draw_marker(pen, marker, found.chest_wall, columns, 2 * size)
    return np.asarray(canvas)


def tinted(found: SourceEvidence) -> NDArray[np.uint8]:
    """The picture, tinted as its evidence is strong, with outlines at half of the extreme: ``(rows, columns, 3)``."""
    share = found.evidence / (np.abs(found.evidence).max() or 1.0)
    tint = _tint(found.picture, share)
    for is_strong, colour in ((share >= 0.5, _FOR), (share <= -0.5, _AGAINST)):
        width = max(1, max(share.shape) // _OUTLINES_PER_SIDE)
        tint[is_strong & ~binary_erosion(is_strong, iterations=width)] = colour
    return tint


def _tint(picture: NDArray[np.uint8], share: Floats) -> NDArray[np.uint8]:
    """``share`` from -1, against, to 1, for."""
    weight = _STRONGEST_TINT * np.abs(share)[..., None]
    colour = np.where(share[..., None] > 0, _FOR, _AGAINST)
    return np.asarray(((1 - weight) * picture[..., None] + weight * colour).round().astype(np.uint8))


def _lines(found: SourceEvidence, identity: ModelIdentity) -> list[tuple[str, tuple[int, int, int], bool]]:
    """Text, colour, and whether it is bold."""
    explanation, winner = found.explanation, found.explanation.winner
    ratio = float(explanation.evidence_map.log_ratio[0])
    error = explanation.predictions.standard_error[0, winner]
    title = explanation.title(digits=2)
    if explanation.against is None and isfinite(error):
        title = f"{title.removesuffix(' nats')} ± {error:.2f} nats"
    probability, prevalence = (of[winner] for of in (explanation.predictions.posterior[0], explanation.predictions.class_prior))
    return [
        (c.RESEARCH_ONLY.upper(), _YELLOW, True),
        (title, _WHITE, True),
        (f"{times(ratio)} times as likely; probability {probability:.1%} at prevalence {prevalence:.3g}", _WHITE, False),
        (f"{MANUFACTURER} {identity.version}, model {identity.fingerprint[:12]}", _WHITE, False),
    ]


def times(log_ratio: float) -> str:
    """A likelihood ratio as text, from its logarithm; as a power of ten where it is very large or small."""
    return f"{exp(log_ratio):.3g}" if abs(log_ratio) < _MANY_NATS else f"10^{log_ratio / log(10):.0f}"


def _font(text: str, size: int, bold: bool, width: int) -> ImageFont.FreeTypeFont:
    """Of ``size``, or as much smaller as ``text`` needs to fit into ``width``."""
    path = _FONTS / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")
    font = ImageFont.truetype(path, size)
    return font.font_variant(size=max(6, int(size * width / length))) if (length := font.getlength(text)) > width else font


def _draw_scale(canvas: Image.Image, reach: float, corner: tuple[int, int], size: int) -> None:
    """The tints from against to for, on gray, with their ends in nats."""
    left, top = corner
    width = (canvas.width - 2 * size) // 2
    share = np.broadcast_to(np.linspace(-1, 1, width), (size, width))
    canvas.paste(Image.fromarray(_tint(np.full(share.shape, _GRAY), share)), (left, top))
    pen, font = ImageDraw.Draw(canvas), _font("", max(7, round(0.8 * size)), False, width)
    below = top + round(1.2 * size)
    for at, text, anchor in ((0, f"{-reach:.2g}", "la"), (width // 2, "0", "ma"), (width, f"+{reach:.2g}", "ra")):
        pen.text((left + at, below), text, _WHITE, font, anchor=anchor)
    pen.text((left + width + size, top), "nats per pixel, smoothed:\nblue against, orange for", _WHITE, font)


def _draw_marker(pen: ImageDraw.ImageDraw, marker: str, chest_wall: str | None, columns: int, size: int) -> None:
    """Side and view in an upper corner, away from the chest wall."""
    at, anchor = ((size // 2, size // 2), "la") if chest_wall == "right" else ((columns - size // 2, size // 2), "ra")
    pen.text(at, marker, _WHITE, _font(marker, size, True, columns // 2), anchor=anchor, stroke_width=2, stroke_fill=0)


def _marker(read: Source) -> str:
    """Side and view as the header has them, for instance ``R MLO``."""
    return " ".join(filter(None, (read.laterality, view(read.header))))


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
