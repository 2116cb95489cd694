"""Access to elements of a DICOM header: empty ones count as absent; functional groups are resolved for the frame.

An enhanced object keeps what belongs to a frame in Shared and Per-Frame Functional Groups Sequences (PS3.3 C.7.6.16): those of
the frame come before the shared ones, and these before what stands at top level.
"""

import math

from pydicom.datadict import dictionary_description
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from bayescope.errors import DataError

_RESCALE = ("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept")
_VOI = ("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction")
_MACROS = {  # PS3.3 C.7.6.16.2, C.8.19.6.4 for XA/XRF: the elements of a macro belong together
    "PixelValueTransformationSequence": _RESCALE,
    "FrameVOILUTSequence": _VOI,
    "PixelMeasuresSequence": ("PixelSpacing",),
    "FramePixelDataPropertiesSequence": ("ImagerPixelSpacing",),
    "FrameAnatomySequence": ("FrameLaterality",),
}
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
_VIEWS = {  # PS3.16 CID 4014, in SNOMED CT and in the older SNOMED RT
    **dict.fromkeys(("399162004", "R-10242"), "CC"),
    **dict.fromkeys(("399368009", "R-10226"), "MLO"),
    **dict.fromkeys(("399260004", "R-10224"), "ML"),
    **dict.fromkeys(("399352003", "R-10228"), "LM"),
    **dict.fromkeys(("399099002", "R-10230"), "LMO"),
    **dict.fromkeys(("399196006", "R-10244"), "FB"),
    **dict.fromkeys(("399188001", "R-102D0"), "SIO"),
    **dict.fromkeys(("441555000", "R-40AAA"), "ISO"),
    **dict.fromkeys(("399265009", "R-102CF"), "XCC"),
    **dict.fromkeys(("399192008", "R-1024A"), "XCCL"),
    **dict.fromkeys(("399101009", "R-1024B"), "XCCM"),
}
MOST_SQUARE_PIXELS = 2**27
_SAME_WITHIN = 0.01
"""Two shapes of pixels that differ by less than this share are taken for one."""


def refusal(name: str, found: str, expected: str) -> DataError:
    """The error for a header that contradicts itself or its pixels."""
    return DataError(f"{name}: {found}; expected {expected}. Export it again from where it came, or leave it out")


def apply_functional_groups(header: Dataset, frame: int, name: str) -> None:
    """Put the elements that apply to ``frame``, from 0, at the top level of ``header``, in the place of those there.

    Raises DataError if there are Per-Frame Functional Groups, but none for this frame.
    """
    of_frame = header.get("PerFrameFunctionalGroupsSequence") or ()
    if of_frame and frame >= len(of_frame):
        raise refusal(name, f"functional groups of {len(of_frame)} frames, none for frame {frame + 1}", "them for each")
    groups = [*of_frame[frame : frame + 1], *(header.get("SharedFunctionalGroupsSequence") or ())[:1]]
    for macro, keywords in _MACROS.items():
        items = [item for group in groups for item in group.get(macro) or ()]
        if found := next((item for item in items if any(is_given(item, keyword) for keyword in keywords)), None):
            for keyword in keywords:
                if keyword in header:
                    del header[keyword]
                if is_given(found, keyword):
                    header[keyword] = found[keyword]


def is_given(header: Dataset, keyword: str) -> bool:
    """Whether the element is there and has a value, not only blanks."""
    element = header.get_item(keyword)
    value = None if element is None else element.value
    return value is not None and bool(str(value).strip()) and (not hasattr(value, "__len__") or len(value) > 0)


def numbers(header: Dataset, keyword: str, name: str) -> tuple[float | None, ...]:
    """The values of an element, None for an empty one among several; empty if it is absent or has none at all.

    Raises DataError for what is no finite number.
    """
    if not is_given(header, keyword):
        return ()
    try:
        value = header[keyword].value
        values = list(value) if isinstance(value, MultiValue | list | tuple) else [value]
        found = tuple(None if number is None or not str(number).strip() else float(number) for number in values)
    except (TypeError, ValueError):
        found = (math.nan,)
    if any(number is not None and not math.isfinite(number) for number in found):
        given = str(header.get_item(keyword).value)
        raise refusal(name, f"{dictionary_description(keyword)} {given:.40}", "a number")
    return found if any(number is not None for number in found) else ()


def number(header: Dataset, keyword: str, name: str) -> float | None:
    """The first value of an element, None if it is absent or empty.  Raises as ``numbers``."""
    return next(iter(numbers(header, keyword, name)), None)


def spacing(header: Dataset) -> tuple[float, float] | None:
    """Distances of the centres of pixels along (row, column) in mm; None where no element gives two that make sense."""
    return next(filter(None, (_pair(header, keyword) for keyword in _SPACINGS)), None)


def pixel_aspect(header: Dataset, name: str) -> float:
    """Height of a pixel over its width, from the spacing or else the Pixel Aspect Ratio; 1 where neither is given.

    Raises DataError if both are given, not square, and do not agree, or if there were more than MOST_SQUARE_PIXELS once
    pixels are square.
    """
    of_spacing, of_aspect = (None if pair is None else pair[0] / pair[1] for pair in (spacing(header), _aspect(header)))
    if of_spacing and of_aspect and not _is_near(of_aspect, 1) and not _is_near(of_aspect, of_spacing):
        raise refusal(name, f"spacing {spacing(header)} mm and Pixel Aspect Ratio {of_aspect:g}", "one shape of pixel")
    aspect = of_spacing or of_aspect or 1.0
    if header.Rows * header.Columns * max(aspect, 1 / aspect) > MOST_SQUARE_PIXELS:
        raise refusal(name, f"pixels {aspect:g} times as high as wide", f"{MOST_SQUARE_PIXELS} at most once they are square")
    return aspect


def view(header: Dataset) -> str | None:
    """View Position, or else the code of the view, or else the view given by the Patient Orientation."""
    codes = [str(item.get("CodeValue")) for item in header.get("ViewCodeSequence") or ()]
    position = str(header.get("ViewPosition") or "").strip().upper()
    coded = next((_VIEWS[code] for code in codes if code in _VIEWS), None)
    return position or coded or first_word(header, ("PatientOrientation",), among=tuple(_VIEWS.values()))


def first_word(header: Dataset, keywords: tuple[str, ...], among: tuple[str, ...]) -> str | None:
    """The first of the elements with one of these words."""
    words = (str(header.get(keyword) or "").strip().upper() for keyword in keywords)
    return next((word for word in words if word in among), None)


def _aspect(header: Dataset) -> tuple[float, float] | None:
    return _pair(header, "PixelAspectRatio")


def _pair(header: Dataset, keyword: str) -> tuple[float, float] | None:
    """Two positive numbers, or None."""
    try:
        first, second = numbers(header, keyword, "")
    except (DataError, ValueError):
        return None
    return None if first is None or second is None or min(first, second) <= 0 else (first, second)


def _is_near(ratio: float, other: float) -> bool:
    return abs(ratio / other - 1) < _SAME_WITHIN
