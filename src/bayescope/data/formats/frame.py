"""One grayscale image as displayed by a workstation, with the transformations that were applied."""

from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

FOR_PROCESSING = "FOR PROCESSING"
INTENTS = ("FOR PRESENTATION", FOR_PROCESSING)


@dataclass(frozen=True)
class Shown:
    """What the file says of its picture, and what was done to show it.

    ``spacing`` is (row, column) in mm, in the detector's plane where the patient's is not given; ``presentation`` is the
    presentation intent, one of ``INTENTS``; ``applied`` names the steps from stored to shown pixels; ``pixel_aspect`` is the
    height of a pixel over its width; ``notes`` name declarations of the file that could not be followed; ``study`` is the same
    for files of one study, and does not tell which.
    """

    bits_stored: int
    spacing: tuple[float, float] | None = None
    laterality: str | None = None
    view: str | None = None
    presentation: str | None = None
    applied: tuple[str, ...] = ()
    pixel_aspect: float = 1.0
    notes: tuple[str, ...] = ()
    study: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Frame(Shown):
    """``pixels`` is float32 ``(height, width)``, high is bright; ``patient`` serves to keep a patient's images together,
    nothing else."""

    pixels: NDArray[np.float32]
    patient: str | None = field(default=None, repr=False)

    @property
    def shown(self) -> Shown:
        """All but the pixels and the patient."""
        return Shown(**{known.name: getattr(self, known.name) for known in fields(Shown)})
