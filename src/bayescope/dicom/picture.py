"""The picture of an evidence map: the image read, tinted by its evidence, with what must not be overlooked burnt in.

The picture keeps the pixel grid of the source, a whole multiple of it where that is small, or a whole fraction where it is
large; a band of text lies below.
"""

from dataclasses import replace
from fractions import Fraction
from math import ceil, exp, isfinite, log
from pathlib import Path

import numpy as np
from matplotlib import get_data_path
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_erosion

from bayescope.dicom.codes import RESEARCH_ONLY
from bayescope.dicom.evidence import SourceEvidence
from bayescope.dicom.identity import MANUFACTURER, ModelIdentity
from bayescope.types import Floats

_LEAST_WIDTH, _MOST_WIDTH = 512, 1280
_LINES_PER_WIDTH = 34
"""Font size is the width over this."""
_FONTS = Path(get_data_path()) / "fonts" / "ttf"
_OUTLINES_PER_SIDE = 500
"""An outline is as wide as the longer side over this."""
_MANY_NATS = 13.0
_STRONGEST_TINT, _TINT_POWER, _GRAY = 0.7, 1.5, 70
_FOR, _AGAINST = (255, 120, 40), (60, 150, 255)
_WHITE, _YELLOW = (235, 235, 235), (255, 225, 70)


def magnification(columns: int) -> Fraction:
    """Pixels of the picture for each of the ``columns`` of the source, along either side: a whole number, or one over it."""
    return Fraction(ceil(_LEAST_WIDTH / columns)) if columns < _LEAST_WIDTH else Fraction(1, ceil(columns / _MOST_WIDTH))


def draw(found: SourceEvidence, identity: ModelIdentity, marker: str) -> NDArray[np.uint8]:
    """The tinted picture with the ``marker`` of its side, and text below: ``(rows, columns, 3)``."""
    scale = magnification(found.picture.shape[1])
    found = _reduced(found, scale.denominator)
    tint = np.kron(tinted(found), np.ones((scale.numerator, scale.numerator, 1), np.uint8))
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


def _reduced(found: SourceEvidence, factor: int) -> SourceEvidence:
    """Means over squares of ``factor`` by ``factor`` pixels."""
    picture, evidence = Image.fromarray(found.picture), Image.fromarray(found.evidence.astype(np.float32))
    return replace(found, picture=np.asarray(picture.reduce(factor)), evidence=np.asarray(evidence.reduce(factor), np.float64))


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
    weight = _STRONGEST_TINT * np.abs(share)[..., None] ** _TINT_POWER
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
        (RESEARCH_ONLY.upper(), _YELLOW, True),
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
