"""Measures of several observers of the same images, and their differences, with intervals over patients.

AUC: DeLong (:mod:`bayescope.metrics.delong`).  Other measures: a bootstrap that draws the same patients for every
observer.  More than two classes: the mean AUC and sensitivity of each class against the rest."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

import numpy as np
from scipy.special import expit, logit

from bayescope.metrics.bootstrap import N_BOOTSTRAP, Estimate
from bayescope.metrics.classification import auc as mean_auc
from bayescope.metrics.delong import pulls
from bayescope.types import Floats, Labels

SPECIFICITY = 0.9
_Z = 1.959963984540054
_AT_ONCE = 2**22


@dataclass(frozen=True)
class Scores:
    """Of one observer: measures, the mean over its seeds, the differences of the reference to it, and the AUC's deviation over
    seeds."""

    measures: dict[str, Estimate]
    seed_deviation: float
    differences: dict[str, Estimate] = field(default_factory=dict)


def balanced_accuracy(posterior: Floats, labels: Labels, weights: Floats) -> Floats:
    """Mean over classes of the share found, under each row of ``weights (draws, n)``: ``(draws,)``; NaN without a class."""
    member = labels[:, None] == np.arange(posterior.shape[1])
    hit = member & (posterior.argmax(axis=1) == labels)[:, None]
    return _ratio(weights @ hit, weights @ member).mean(axis=1)


def sensitivity_at_specificity(posterior: Floats, labels: Labels, weights: Floats, positive: int | None = None) -> Floats:
    """Largest sensitivity of a threshold whose specificity is at least 90 %, as :func:`balanced_accuracy`.

    Of class ``positive``, or the mean over classes.
    """
    shown = range(posterior.shape[1]) if positive is None else [positive]
    return np.mean([_sensitivity(posterior[:, k], labels == k, weights) for k in shown], axis=0)


Measure = Callable[[Floats, Labels, Floats], Floats]


def measures_of(class_names: Sequence[str], positive: str | None) -> dict[str, Measure]:
    """What is measured beside the AUC, by name.

    The sensitivity is of the ``positive`` class, of each of two classes, or the mean of more; its name says which.
    """
    end = f"at {100 * SPECIFICITY:.0f} % specificity"
    names = list(class_names)
    told = [positive] if positive is not None else names if len(names) == 2 else []
    found: dict[str, Measure] = {"balanced accuracy": balanced_accuracy}
    for name in told:
        found[f"sensitivity, {name}, {end}"] = partial(sensitivity_at_specificity, positive=names.index(name))
    if not told:
        found[f"mean sensitivity of the classes {end}"] = sensitivity_at_specificity
    return found


def compare_observers(
    posteriors: dict[str, Floats],
    labels: Labels,
    patients: Labels | None = None,
    reference: str | None = None,
    seed: int = 0,
    n_bootstrap: int = N_BOOTSTRAP,
    measures: Mapping[str, Measure] | None = None,
) -> dict[str, Scores]:
    """The AUC and ``measures`` of each observer, ``(seeds, n, classes)`` by name, and the ``reference``'s lead over the others.

    Intervals, 95 %, are over patients (default: images), of the mean over the seeds at hand.  AUC: DeLong, on the scale of its
    log odds, NaN where it is 0 or 1; its difference: DeLong.  Others: percentiles of a bootstrap that draws the same patients
    for every observer.
    """
    whose = np.arange(len(labels)) if patients is None else patients
    aucs = {name: np.array([mean_auc(one, labels) for one in many]) for name, many in posteriors.items()}
    pulled = {name: np.mean([pulls(one, labels, whose) for one in many], axis=0) for name, many in posteriors.items()}
    measures = measures or measures_of((), None)
    values = _mean_measures(
        posteriors, labels, measures, chain(np.ones((1, 1, len(labels))), _resamples(whose, n_bootstrap, seed))
    )

    def differences(name: str) -> dict[str, Estimate]:
        if reference is None or name == reference:
            return {}
        difference = float(aucs[reference].mean() - aucs[name].mean())
        reach = _Z * float(np.linalg.norm(pulled[reference] - pulled[name]))
        rows = {what: _percentiles(values[reference, what] - values[name, what]) for what in measures}
        return {"AUC": Estimate(difference, difference - reach, difference + reach)} | rows

    return {
        name: Scores(
            {"AUC": _log_odds_interval(float(aucs[name].mean()), float(np.linalg.norm(pulled[name])))}
            | {what: _percentiles(values[name, what]) for what in measures},
            float(aucs[name].std(ddof=1)) if len(many) > 1 else float("nan"),
            differences(name),
        )
        for name, many in posteriors.items()
    }


def _mean_measures(
    posteriors: dict[str, Floats], labels: Labels, measures: Mapping[str, Measure], resamples: Iterable[Floats]
) -> dict[tuple[str, str], Floats]:
    """Each observer's measures, the mean over its seeds, under each row of each resample's weights."""
    found: dict[tuple[str, str], list[Floats]] = {(name, what): [] for name in posteriors for what in measures}
    for weights in resamples:
        for (name, what), rows in found.items():
            rows.append(np.mean([measures[what](one, labels, weights) for one in posteriors[name]], axis=0))
    return {key: np.concatenate(rows) for key, rows in found.items()}


def _sensitivity(score: Floats, positive: np.ndarray, weights: Floats) -> Floats:
    order = np.argsort(-score, kind="stable")
    last_of_ties = np.append(np.diff(score[order]) != 0, True)
    hits = np.cumsum(weights[:, order] * positive[order], axis=1)
    alarms = np.cumsum(weights[:, order] * ~positive[order], axis=1)
    allowed = last_of_ties & (alarms <= (1 - SPECIFICITY) * alarms[:, -1:] * (1 + 1e-9))
    found = _ratio(np.where(allowed, hits, 0.0).max(axis=1), hits[:, -1])
    return np.where(alarms[:, -1] > 0, found, np.nan)


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)


def _resamples(patients: Labels, n_bootstrap: int, seed: int) -> Iterator[Floats]:
    rng = np.random.default_rng(seed)
    n_patients = int(patients.max()) + 1
    rows_at_once = max(1, _AT_ONCE // len(patients))
    for start in range(0, n_bootstrap, rows_at_once):
        counts = rng.multinomial(n_patients, np.full(n_patients, 1 / n_patients), min(rows_at_once, n_bootstrap - start))
        yield counts[:, patients].astype(float)


def _percentiles(values: Floats) -> Estimate:
    """The first is the value, the rest are draws."""
    finite = values[1:][np.isfinite(values[1:])]
    low, high = np.quantile(finite, [0.025, 0.975]) if len(finite) else (np.nan, np.nan)
    return Estimate(float(values[0]), float(low), float(high))


def _log_odds_interval(value: float, error: float) -> Estimate:
    if not 0 < value < 1:
        return Estimate(value, float("nan"), float("nan"))
    reach = _Z * error / (value * (1 - value))
    return Estimate(value, float(expit(logit(value) - reach)), float(expit(logit(value) + reach)))
