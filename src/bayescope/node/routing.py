"""Rules that choose which images are read by which run."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from bayescope.data.formats.dicom.header import view
from bayescope.node.config import Route


@dataclass(frozen=True)
class Routed:
    """The runs that read an image, or why none does."""

    runs: tuple[Path, ...]
    reason: str


def _word(header: Dataset, keyword: str) -> str:
    return str(header.get(keyword) or "").strip().upper()


def _among(name: str, found: str, words: Sequence[str]) -> str:
    """What is wrong with ``found``; blank where nothing is asked for, or it is one of the words."""
    return "" if not words or found in map(str.upper, words) else f"{name} {found or 'missing'}"


def _described(header: Dataset, pattern: str | None) -> str:
    texts = (str(header.get(keyword) or "") for keyword in ("StudyDescription", "SeriesDescription"))
    is_found = pattern is None or any(re.search(pattern, text, re.IGNORECASE) for text in texts)
    return "" if is_found else "description"  # not quoted: it may name the patient


CONDITIONS: Mapping[str, Callable[[Dataset, Route], str]] = {
    "modality": lambda header, route: _among("modality", _word(header, "Modality"), route.modality),
    "body_part": lambda header, route: _among("body part", _word(header, "BodyPartExamined"), route.body_part),
    "view": lambda header, route: _among("view", view(header) or "", route.view),
    "sop_class": lambda header, route: _among("SOP class", _word(header, "SOPClassUID"), route.sop_class),
    "description": lambda header, route: _described(header, route.description),
}
"""By condition of a rule: what of an image does not meet it, or blank."""


def unmet(header: Dataset, route: Route) -> str:
    """The first condition of a rule that an image does not meet, and what was found; blank if it meets all."""
    return next(filter(None, (condition(header, route) for condition in CONDITIONS.values())), "")


def choose_runs(header: Dataset, routes: Sequence[Route], default: Path) -> Routed:
    """The runs that read an image.

    Parameters
    ----------
    header : Dataset
        Its data elements; pixels are not needed.
    routes : sequence of Route
        The rules; the first that fits applies.
    default : Path
        Run folder where a rule names none.

    Returns
    -------
    Routed
        The runs, or the reason why there is none, which holds no free text of the header.
    """
    found = []
    for number, route in enumerate(routes, start=1):
        reason = unmet(header, route)
        if not reason:
            runs = (default,) if route.runs is None else route.runs
            return Routed(runs, "" if runs else f"rule {number}: not read")
        found.append(f"rule {number}: {reason}")
    return Routed((), f"no rule fits ({'; '.join(found)})")
