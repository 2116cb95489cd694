"""Measures of several classifiers on the same images, and their differences, with intervals over patients.

AUC: DeLong (:mod:`bayescope.metrics.delong`).  Other measures: a bootstrap that draws the same patients for every
observer.  More than two classes: the mean AUC and sensitivity of each class against the rest."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from bayescope.metrics.bootstrap import N_BOOTSTRAP, Estimate, bootstrap, patient_numbers
from bayescope.metrics.classification import balanced_accuracy, ratio
from bayescope.metrics.delong import Z, auc, log_odds_interval, pulls
from bayescope.types import Floats, Labels

SPECIFICITY = 0.9


@dataclass(frozen=True)
class Scores:
    """Of one observer: measures, the mean over its seeds, the differences of the reference to it, and the AUC's deviation over
    seeds."""

    measures: dict[str, Estimate]
    seed_deviation: float
    differences: dict[str, Estimate] = field(default_factory=dict)


def sensitivity_at_specificity(posterior: Floats, labels: Labels, weights: Labels, positive: int | None = None) -> Floats:
    """Largest sensitivity of a threshold whose specificity is at least 90 %, under each row of ``weights``.

    Of class ``positive``, or the mean over classes.
    """
    shown = range(posterior.shape[1]) if positive is None else [positive]
    return np.mean([_sensitivity(posterior[:, k], labels == k, weights) for k in shown], axis=0)


Measure = Callable[[Floats, Labels, Labels], Floats]
"""Of a posterior ``(n, classes)`` and labels ``(n,)`` under weights ``(draws, n)``: ``(draws,)``."""


def measures_of(class_names: Sequence[str], positive: str | None) -> dict[str, Measure]:
    """The measures other than the AUC, by name.

    The sensitivity is of the ``positive`` class, of each of two classes, or the mean of more; its name says which.
    """
    end = f"at {100 * SPECIFICITY:.0f} % specificity"
    names = list(class_names)
    chosen = [positive] if positive is not None else names if len(names) == 2 else []
    found: dict[str, Measure] = {"balanced accuracy": balanced_accuracy}
    for name in chosen:
        found[f"sensitivity, {name}, {end}"] = partial(sensitivity_at_specificity, positive=names.index(name))
    if not chosen:
        found[f"mean sensitivity of the classes {end}"] = sensitivity_at_specificity
    return found


def compare_observers(
    posteriors: dict[str, Floats],
    labels: Labels,
    patients: Sequence[Hashable] | None = None,
    reference: str | None = None,
    seed: int = 0,
    n_bootstrap: int = N_BOOTSTRAP,
    measures: Mapping[str, Measure] | None = None,
) -> dict[str, Scores]:
    """The AUC and ``measures`` of each observer, ``(seeds, n, classes)`` by name, and the ``reference``'s lead over the others.

    Intervals, 95 %, are over ``patients (n,)`` (default: images), of the mean over the seeds at hand.  AUC: DeLong, on the
    scale of its log odds, NaN where it is 0 or 1; its difference: DeLong.  Others: percentiles of a bootstrap that draws the
    same patients for every observer.
    """
    measures = measures or measures_of((), None)
    whose = patient_numbers(patients, len(labels))
    aucs = {name: np.array([auc(one, labels) for one in many]) for name, many in posteriors.items()}
    pulled = {name: np.mean([pulls(one, labels, whose) for one in many], axis=0) for name, many in posteriors.items()}
    baseline = "" if reference is None else reference
    others = [name for name in posteriors if reference is not None and name != reference]

    def values(weights: Labels) -> Floats:
        found = {name: _mean_measures(many, labels, measures, weights) for name, many in posteriors.items()}
        return np.concatenate([*found.values(), *(found[baseline] - found[name] for name in others)], axis=1)

    estimates = iter(bootstrap(values, len(labels), patients, seed=seed, n_bootstrap=n_bootstrap))
    measured = {name: {what: next(estimates) for what in measures} for name in posteriors}
    differences: dict[str, dict[str, Estimate]] = {name: {} for name in posteriors}
    for name in others:
        value, reach = aucs[baseline].mean() - aucs[name].mean(), Z * np.linalg.norm(pulled[baseline] - pulled[name])
        difference = Estimate(float(value), float(value - reach), float(value + reach))
        differences[name] = {"AUC": difference} | {what: next(estimates) for what in measures}
    return {
        name: Scores(
            {"AUC": log_odds_interval(float(aucs[name].mean()), pulled[name])} | measured[name],
            float(aucs[name].std(ddof=1)) if len(many) > 1 else float("nan"),
            differences[name],
        )
        for name, many in posteriors.items()
    }


def _mean_measures(posteriors: Floats, labels: Labels, measures: Mapping[str, Measure], weights: Labels) -> Floats:
    """``measures`` under ``weights (draws, n)``, mean over ``posteriors (seeds, n, classes)``: ``(draws, measures)``."""
    return np.stack([np.mean([of(one, labels, weights) for one in posteriors], axis=0) for of in measures.values()], axis=1)


def _sensitivity(score: Floats, positive: np.ndarray, weights: Labels) -> Floats:
    order = np.argsort(-score, kind="stable")
    last_of_ties = np.append(np.diff(score[order]) != 0, True)
    hits = np.cumsum(weights[:, order] * positive[order], axis=1)
    alarms = np.cumsum(weights[:, order] * ~positive[order], axis=1)
    allowed = last_of_ties & (alarms <= (1 - SPECIFICITY) * alarms[:, -1:] * (1 + 1e-9))
    found = ratio(np.where(allowed, hits, 0.0).max(axis=1), hits[:, -1])
    return np.where(alarms[:, -1] > 0, found, np.nan)
