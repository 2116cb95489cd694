"""What a report shows, as plain values."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayescope.metrics import Estimate
from bayescope.shapes import Floats, Labels


@dataclass(frozen=True)
class ReportContents:
    """Answers on a test split and what stands around them.

    ``posterior``, ``log_likelihood_ratio`` (each class against the rest, nats) and ``standard_error``: ``(n, classes)``;
    ``pictures``: 8 bit, ``(n, height, width[, 3])``; ``samples``: the same per class, ``(classes, k, height, width[, 3])``;
    ``curve``: records of ``metrics.jsonl``; ``reference``: posteriors of another observer on the same images, by name.
    """

    title: str
    class_names: tuple[str, ...]
    labels: Labels
    names: tuple[str, ...]
    posterior: Floats
    log_likelihood_ratio: Floats
    standard_error: Floats
    passes: float
    measures: dict[str, Estimate]
    pictures: NDArray[np.uint8]
    samples: NDArray[np.uint8]
    curve: list[dict[str, Any]]
    configuration: dict[str, Any]
    source: str
    fingerprint: str
    notes: tuple[str, ...] = ()
    reference: dict[str, Floats] = field(default_factory=dict)
