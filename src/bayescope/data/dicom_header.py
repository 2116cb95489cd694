"""What a DICOM header says of one frame: empty elements are absent, functional groups come before the top level.

An enhanced object keeps window, rescale, spacing and side of a frame in its functional groups (PS3.3 C.7.6.16): those of the
frame itself, or those that all frames share.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from bayescope.errors import DataError

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


@dataclass(frozen=True)
class FrameHeader:
    """The header of number ``frame``, from 0, of ``dataset``, which was read from the file ``name``."""

    dataset: Dataset
    frame: int
    name: str

    def item(self, macro: str, keyword: str) -> Dataset:
        """The data set that holds ``keyword`` for this frame: of the functional group ``macro``, or the top level."""
        return next((group for group in self._groups(macro) if is_present(group, keyword)), self.dataset)

    def get(self, keyword: str, macro: str = "") -> Any:
        """The element's value, None where it is absent or empty."""
        found = self.item(macro, keyword) if macro else self.dataset
        return found[keyword].value if is_present(found, keyword) else None

    def number(self, keyword: str, macro: str = "") -> float | None:
        """One finite number, None where there is none.  Raises DataError for anything else."""
        value = self.get(keyword, macro)
        if value is None:
            return None
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = np.nan
        if not np.isfinite(number):
            raise DataError(
                f"{self.name}: {keyword} {value!s:.40}; expected one number. Export the image again, or leave it out"
            )
        return number

    def word(self, *keywords: str, among: tuple[str, ...], macro: str = "") -> str | None:
        """The first of the elements that holds one of these words."""
        words = (str(self.get(keyword, macro) or "").strip().upper() for keyword in keywords)
        return next((word for word in words if word in among), None)

    @property
    def spacing(self) -> tuple[float, float] | None:
        """Distance of neighbouring pixels along (row, column), mm: in the patient, or else in the detector's plane."""
        for keyword in _SPACINGS:
            if (pair := _positive_pair(self.get(keyword, "PixelMeasuresSequence"))) is not None:
                return pair
        return None

    @property
    def pixel_aspect(self) -> float:
        """Height of a pixel over its width: by the spacing, or else by the Pixel Aspect Ratio; 1 where nothing tells."""
        pair = self.spacing or _positive_pair(self.get("PixelAspectRatio")) or (1.0, 1.0)
        return pair[0] / pair[1]

    @property
    def laterality(self) -> str | None:
        """L or R."""
        own = self.word("FrameLaterality", among=("L", "R"), macro="FrameAnatomySequence")
        return own or self.word("ImageLaterality", "Laterality", among=("L", "R"))

    @property
    def view(self) -> str | None:
        """CC, MLO, ...: by View Position, code, or Patient Orientation."""
        codes = [str(item.get("CodeValue")) for item in self.get("ViewCodeSequence") or ()]
        position = str(self.get("ViewPosition") or "").strip().upper()
        coded = next((_VIEWS[code] for code in codes if code in _VIEWS), None)
        return position or coded or self.word("PatientOrientation", among=tuple(_VIEWS.values()))

    def _groups(self, macro: str) -> Iterator[Dataset]:
        own = self.dataset.get("PerFrameFunctionalGroupsSequence") or ()
        shared = self.dataset.get("SharedFunctionalGroupsSequence") or ()
        for groups in (own[self.frame : self.frame + 1], shared[:1]):
            for group in groups:
                yield from (group.get(macro) or ())[:1]


def is_present(dataset: Dataset, keyword: str) -> bool:
    """Whether the element is there and not empty."""
    if keyword not in dataset:
        return False
    value = dataset[keyword].value
    return value is not None and not (hasattr(value, "__len__") and len(value) == 0)


def _positive_pair(value: Any) -> tuple[float, float] | None:
    try:
        first, second = (float(part) for part in value or ())
    except (TypeError, ValueError):
        return None
    return (first, second) if 0 < first < np.inf and 0 < second < np.inf else None
