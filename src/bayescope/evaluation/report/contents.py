"""What a report shows, as plain values."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayescope.evaluation.report.explained import Explained
from bayescope.metrics.bootstrap import Estimate
from bayescope.types import Floats, Labels

NOVEL = 0.05


@dataclass(frozen=True)
class ReportContents:
    """Answers on a test split and what stands around them.

    ``posterior``, ``log_likelihood_ratio`` (each class against the rest, nats) and ``standard_error``: ``(n, classes)``;
    ``pictures`` of the images shown, by their number: 8 bit, ``(height, width[, 3])``; ``samples``: of each class,
    ``(classes, k, height, width[, 3])``;
    ``curve``: records of ``metrics.jsonl``; ``reference``: posteriors of another observer on the same images, by name;
    ``p_value``: of novelty, ``(n,)``; ``explained``: some images, by their number; ``sets``: what the prediction set of each
    image is, in words, and ``decisions``: what sets and abstention promise and how they did, rows of three cells;
    ``split`` of ``source``: train, val or test; ``trained_on``: what to tell of the model's own data;
    ``by_class``: measures of each class against the rest, predictive values at ``prevalence``; ``positive``: the class of the
    headline, if one was named;
    ``trust``: for each class its measures of calibration, each beside what it is of exactly right answers; ``warnings``:
    what to know before trusting the numbers; ``rests_on``: the validation images it rests on;
    ``patients``: whose image each is, over whom intervals are then.
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
    by_class: dict[str, dict[str, Estimate]]
    prevalence: dict[str, float]
    pictures: dict[int, NDArray[np.uint8]]
    samples: NDArray[np.uint8]
    curve: list[dict[str, Any]]
    configuration: dict[str, Any]
    source: str
    fingerprint: str
    split: str = "test"
    trained_on: str = ""
    notes: tuple[str, ...] = ()
    reference: dict[str, Floats] = field(default_factory=dict)
    raw_log_likelihood_ratio: Floats | None = None
    p_value: Floats | None = None
    explained: dict[int, Explained] = field(default_factory=dict)
    sets: tuple[str, ...] = ()
    decisions: tuple[tuple[str, str, str], ...] = ()
    rests_on: str = ""
    patients: tuple[str, ...] | None = None
    trust: dict[str, dict[str, tuple[Estimate, Estimate]]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    positive: str | None = None


@dataclass(frozen=True)
class Cases:
    """Indices of images worth a look, each list in falling order of that worth."""

    surest: list[int]
    mistaken: list[int]
    novel: list[int]
    unsure: list[int]

    @property
    def shown(self) -> list[int]:
        """All, each once."""
        return list(dict.fromkeys(self.explained + self.unsure))

    @property
    def explained(self) -> list[int]:
        """Those shown with a map, each once."""
        return list(dict.fromkeys(self.surest + self.mistaken + self.novel))


def choose_cases(posterior: Floats, labels: Labels, p_value: Floats | None, most: int = 8) -> Cases:
    """From posteriors ``(n, classes)``, labels ``(n,)`` and p-values of novelty ``(n,)``; novel: a p-value of at most 0.05."""
    hit = posterior.argmax(axis=1) == labels
    falling = posterior.max(axis=1).argsort(kind="stable")[::-1]
    odd = np.empty(0, dtype=int) if p_value is None else p_value.argsort(kind="stable")
    return Cases(
        falling[hit[falling]][:most].tolist(),
        falling[~hit[falling]][:most].tolist(),
        [int(i) for i in odd[:most] if p_value is not None and p_value[i] <= NOVEL],
        falling[::-1][:most].tolist(),
    )
