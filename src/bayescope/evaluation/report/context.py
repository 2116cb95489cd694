"""The data of a report apart from the measures: selected images, samples of the model, and the training curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayescope.evaluation.report.explained import Explained
from bayescope.evaluation.selection import ChosenImages
from bayescope.inference.trust import TrustResult
from bayescope.metrics.bootstrap import Estimate
from bayescope.metrics.classification import measure
from bayescope.types import Floats, Labels


@dataclass(frozen=True)
class Cases:
    """Indices of images worth a look, each list in falling order of that worth; ``suspicious``: by trust test."""

    surest: list[int]
    mistaken: list[int]
    suspicious: Mapping[str, list[int]]
    unsure: list[int]

    @property
    def shown(self) -> list[int]:
        """All, each once."""
        return list(dict.fromkeys(self.explained + self.unsure))

    @property
    def explained(self) -> list[int]:
        """Those shown with a map, each once."""
        return list(dict.fromkeys(chain(self.surest, self.mistaken, *self.suspicious.values())))


@dataclass(frozen=True)
class Context:
    """What the sections of a report show in addition to an :class:`~bayescope.evaluation.evaluate.Evaluation`.

    Parameters
    ----------
    chosen : ChosenImages
        How the evaluated images were chosen.
    cases : Cases
        Which of them are shown.
    pictures : mapping of int to array
        Images to show, by their number: 8 bit, ``(height, width[, 3])``.
    samples : array
        Samples of each class, 8 bit: ``(classes, k, height, width[, 3])``.
    curve : sequence of dict
        Records of training, as in ``metrics.jsonl``.
    trained_on : str
        Source and fingerprint of the training data; blank if unknown.
    sets : tuple of str
        Prediction set of each image as text; empty for a model without.
    reference : mapping of str to array
        Posteriors ``(n, classes)`` of other observers on the same images, by name.
    explained : mapping of int to Explained
        Images explained, by their number.
    """

    chosen: ChosenImages
    cases: Cases
    pictures: Mapping[int, NDArray[np.uint8]]
    samples: NDArray[np.uint8]
    curve: Sequence[Mapping[str, Any]] = ()
    trained_on: str = ""
    sets: tuple[str, ...] = ()
    reference: Mapping[str, Floats] = field(default_factory=dict)
    explained: Mapping[int, Explained] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The title of the report."""
        return f"Bayescope on {self.chosen.data.source}"

    @cached_property
    def reference_measures(self) -> dict[str, dict[str, Estimate]]:
        """Measures of the reference observers, by their name."""
        images = self.chosen.images
        return {name: measure(posterior, images.labels, images.groups) for name, posterior in self.reference.items()}


def choose_cases(posterior: Floats, labels: Labels, trust: Mapping[str, TrustResult], most: int = 8) -> Cases:
    """From posteriors ``(n, classes)``, labels ``(n,)`` and the results of the trust tests."""
    hit = posterior.argmax(axis=1) == labels
    falling = posterior.max(axis=1).argsort(kind="stable")[::-1]
    return Cases(
        falling[hit[falling]][:most].tolist(),
        falling[~hit[falling]][:most].tolist(),
        {name: result.suspicious(most) for name, result in trust.items()},
        falling[::-1][:most].tolist(),
    )
