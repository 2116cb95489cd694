"""The evidence map of a prediction on the pixel grid of the image that was read.

The map belongs to the prepared image: cropped, flipped and resized.  It is smoothed as in the report, and each pixel of the
source takes the value found at the position of its centre, interpolated linearly; outside of the part that was kept there is no
evidence.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayescope.data.formats.dicom import read_dicom
from bayescope.data.preparation.mammogram import Record
from bayescope.errors import DataError
from bayescope.evaluation.report.overlay import smoothed
from bayescope.inference.explain import Explanation
from bayescope.types import Floats

_LEAST_RANGE = 1e-30


@dataclass(frozen=True)
class SourceEvidence:
    """An explanation, led back to the source.

    Parameters
    ----------
    explanation : Explanation
        Of the prediction.
    picture : ndarray of shape (rows, columns)
        The frame read as it is displayed, 8 bit.
    evidence : ndarray of shape (rows, columns)
        Share of each pixel of the smoothed map, in nats, found at the pixels of the source.
    chest_wall : str, optional
        Side of the picture, ``"left"`` or ``"right"``, where the chest wall was found.
    """

    explanation: Explanation
    picture: NDArray[np.uint8]
    evidence: Floats
    chest_wall: str | None

    @property
    def class_name(self) -> str:
        """Of the class that the evidence is for."""
        return self.explanation.class_names[self.explanation.winner]

    @property
    def key(self) -> tuple[Any, ...]:
        """What the map follows from, besides image and model: numbers of the classes, and the prevalence."""
        explanation = self.explanation
        return explanation.winner, explanation.against, explanation.predictions.class_prior.tolist()


def evidence_on_source(
    path: Path, explanation: Explanation, preparation: Record, frame: int | None = None, window: int = 0
) -> SourceEvidence:
    """Lead the evidence map of an explanation back to the image that was read.

    Parameters
    ----------
    path : Path
        DICOM file of the image.
    explanation : Explanation
        Of its prediction.
    preparation : Record
        What was done to prepare the image; see :class:`bayescope.inference.read.ModelInput`.
    frame : int, optional
        Number of the frame read, from 1; needed where the file has several.
    window : int, default 0
        Number of the VOI LUT or window, as the model's preparation has it.

    Returns
    -------
    SourceEvidence
        On the grid of the file's pixels.

    Raises
    ------
    DataError
        If the file cannot be read, or is not the one that was prepared.
    """
    shown = read_dicom(path, frame=None if frame is None else frame - 1, window=window).pixels
    if shown.shape != preparation.original_shape:
        raise DataError(
            f"{path.name}: {shown.shape[0]}x{shown.shape[1]} pixels; expected the {preparation.original_shape[0]}x"
            f"{preparation.original_shape[1]} of the image that was prepared. Give that file"
        )
    low, high = float(shown.min()), float(shown.max())
    picture = np.rint((shown - low) * 255 / max(high - low, _LEAST_RANGE)).astype(np.uint8)
    evidence = on_original_grid(smoothed(explanation.evidence_map.total[0]), preparation)
    return SourceEvidence(explanation, picture, evidence, preparation.chest_wall)


def on_original_grid(values: Floats, preparation: Record) -> Floats:
    """Values of a prepared image at the pixels of the original.

    Parameters
    ----------
    values : ndarray of shape (size, size)
        One for each pixel of the prepared image.
    preparation : Record
        What was done to prepare it.

    Returns
    -------
    ndarray of shape (rows, columns)
        0 where the original was not kept.
    """
    rows, columns = preparation.original_shape
    points = np.zeros((rows + columns, 2))
    points[:rows, 0], points[rows:, 1] = np.arange(rows) + 0.5, np.arange(columns) + 0.5
    prepared = preparation.to_prepared(points)
    along_rows = _weights(prepared[:rows, 0], preparation.offset[0], preparation.inner[0], len(values))
    along_columns = _weights(prepared[rows:, 1], preparation.offset[1], preparation.inner[1], len(values))
    return np.asarray(along_rows @ values @ along_columns.T)


def _weights(positions: Floats, start: int, length: int, size: int) -> Floats:
    """Weights ``(positions, size)`` of linear interpolation between pixel centres from ``start`` on; 0 outside."""
    centres = np.arange(size) + 0.5
    inside = (positions >= start) & (positions < start + length)
    at = positions.clip(start + 0.5, start + length - 0.5)
    return np.maximum(0.0, 1 - np.abs(at[:, None] - centres)) * inside[:, None]
