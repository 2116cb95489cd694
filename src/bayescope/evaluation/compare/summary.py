"""Summary of a comparison: one row for each method and fraction of the training images."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bayescope.config import Config
from bayescope.data.dataset import Dataset
from bayescope.data.filesystem.file_summary import FileSummary
from bayescope.evaluation.compare.networks import NETWORKS
from bayescope.evaluation.compare.run import BAYESCOPE, Result
from bayescope.evaluation.compare.statistics import Scores, compare_observers, measures_of


@dataclass(frozen=True)
class Row:
    """A method at a share of the training images, over its seeds; costs are means over seeds."""

    method: str
    fraction: float
    train_images: int
    scores: Scores
    train_seconds: float
    steps: float
    images_per_second: float
    passes: float
    parameters: int


@dataclass(frozen=True)
class Comparison:
    """All rows, largest share of the training images first, and what they were measured on."""

    source: str
    fingerprint: str
    notes: tuple[str, ...]
    class_names: tuple[str, ...]
    test_images: int
    test_patients: int | None
    val_images: int
    seeds: tuple[int, ...]
    steps: int
    batch_size: int
    device: str
    rows: tuple[Row, ...]
    warnings: tuple[str, ...] = ()
    files: FileSummary = field(default_factory=FileSummary)
    positive: str | None = None
    """The class whose sensitivity is reported, if one was named."""
    unit: str = "images"
    """What is predicted: images, or patients, breasts or studies."""

    @property
    def fractions(self) -> tuple[float, ...]:
        """The largest first."""
        return tuple(dict.fromkeys(row.fraction for row in self.rows))


def summarise(
    data: Dataset, config: Config, results: Sequence[Result], positive: str | None = None, unit: str = "images"
) -> Comparison:
    """Measures with intervals over patients, the differences of Bayescope to each network, and costs.

    Parameters
    ----------
    data : Dataset
        The images compared on.
    config : Config
        Settings of the comparison.
    results : sequence of Result
        Results of :func:`bayescope.evaluation.compare.run.compare`.
    positive : str, optional
        The class whose sensitivity is reported (default: each of two classes, or the mean of more).
    unit : str, default "images"
        What the results are predictions of.

    Returns
    -------
    Comparison
        One row for each method and fraction.
    """
    measures = measures_of(data.class_names, positive)
    patients = data.test.groups
    rows: list[Row] = []
    for fraction in dict.fromkeys(result.fraction for result in results):
        by_method: dict[str, list[Result]] = {}
        for result in results:
            if result.fraction == fraction:
                by_method.setdefault(result.method, []).append(result)
        posteriors = {name: np.array([result.posterior for result in several]) for name, several in by_method.items()}
        scores = compare_observers(posteriors, data.test.labels, patients, BAYESCOPE, measures=measures)
        rows += [_row(several, scores[name], len(data.test)) for name, several in by_method.items()]
    return Comparison(
        data.source,
        data.fingerprint,
        data.notes,
        data.class_names,
        len(data.test),
        None if patients is None else len(set(patients)),
        len(data.val),
        tuple(sorted({result.seed for result in results})),
        config.training.steps,
        config.training.batch_size,
        ", ".join(sorted({f"{result.device}, {result.threads} threads" for result in results})),
        tuple(rows),
        data.warnings,
        data.files,
        positive,
        unit,
    )


def _row(results: Sequence[Result], scores: Scores, n_test: int) -> Row:
    def mean(what: str) -> float:
        return float(np.mean([getattr(result, what) for result in results]))

    first = results[0]
    return Row(
        name_of(first.method),
        first.fraction,
        round(mean("train_images")),
        scores,
        mean("train_seconds"),
        mean("steps"),
        n_test / mean("inference_seconds"),
        mean("passes"),
        first.parameters,
    )


def name_of(method: str) -> str:
    """As it is published."""
    return "Bayescope" if method == BAYESCOPE else NETWORKS[method].name
