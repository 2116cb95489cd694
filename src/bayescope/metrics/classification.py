"""Measures of discrimination and of probabilities, each with a confidence interval.

All take the posterior ``(n, classes)`` and labels ``(n,)``.  Measures of one class, such as sensitivity, are of each class
against the rest.  AUC of two classes is the same for both; of more, the mean over classes.  Brier
score: mean squared error of the probability of a class (two classes: the same for both), or summed over classes (more).

Intervals, 95 %, are over patients.  AUC: DeLong (:mod:`bayescope.metrics.delong`).  Others: bootstrap percentiles.
"""

from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np
from sklearn import metrics

from bayescope.metrics.bootstrap import N_BOOTSTRAP, Estimate, bootstrap, means_of
from bayescope.metrics.delong import auc_interval
from bayescope.types import Floats, Labels

_TINY = 1e-15

MEASURES = ("AUC", "accuracy", "balanced accuracy", "log loss", "Brier score")
CLASS_MEASURES = ("AUC", "sensitivity", "specificity", "PPV", "NPV")
"""Of a class against the rest; PPV and NPV: positive and negative predictive value."""


def accuracy(posterior: Floats, labels: Labels) -> float:
    """Share of images whose most probable class is theirs."""
    return float((posterior.argmax(axis=1) == labels).mean())


def balanced_accuracy(posterior: Floats, labels: Labels, weights: np.ndarray | None = None) -> Floats:
    """Mean over classes of the share found; NaN if a class is absent: ``()``.

    ``weights (draws, n)``: how often each image is drawn; then ``(draws,)``.
    """
    hit = (posterior.argmax(axis=1) == labels).astype(float)
    member = (labels[:, None] == np.arange(posterior.shape[1])).astype(float)
    drawn = np.ones(len(labels)) if weights is None else weights
    return ratio(drawn @ (member * hit[:, None]), drawn @ member).mean(axis=-1)


def sensitivity(posterior: Floats, labels: Labels, k: int) -> float:
    """Share of the images of class ``k`` called so; NaN if there is none."""
    return _share_called(posterior, k, labels == k)


def specificity(posterior: Floats, labels: Labels, k: int) -> float:
    """Share of the images of other classes not called class ``k``; NaN if there is none."""
    return 1 - _share_called(posterior, k, labels != k)


def log_loss(posterior: Floats, labels: Labels) -> float:
    """Mean of :func:`surprise`, by scikit-learn."""
    return float(metrics.log_loss(labels, posterior.clip(_TINY, 1), labels=range(posterior.shape[1])))


def brier(posterior: Floats, labels: Labels, positive: int | None = None) -> float:
    """Mean of :func:`squared_error`, by scikit-learn; of the probability of class ``positive``, or of all classes."""
    shown = range(posterior.shape[1]) if positive is None else [positive]
    several = [metrics.brier_score_loss(labels == k, posterior[:, k].clip(0, 1), pos_label=True) for k in shown]
    return float(np.sum(several) / (2 if positive is None and len(several) == 2 else 1))


def surprise(posterior: Floats, labels: Labels) -> Floats:
    """Negative log probability of each image's class: nats, ``(n,)``."""
    return -np.log(posterior[np.arange(len(labels)), labels].clip(_TINY, 1))


def squared_error(posterior: Floats, labels: Labels) -> Floats:
    """Squared error of each image's probabilities, the mean over two classes or the sum over more: ``(n,)``."""
    error = ((posterior - np.eye(posterior.shape[1])[labels]) ** 2).sum(axis=1)
    return error / 2 if posterior.shape[1] == 2 else error


def confusion(posterior: Floats, labels: Labels, weights: np.ndarray | None = None) -> Labels:
    """How many images of each class (rows) are called each class (columns): ``(classes, classes)``.

    ``weights (draws, n)``: how often each image is drawn; then ``(draws, classes, classes)``.
    """
    n_classes = posterior.shape[1]
    cell = (n_classes * labels + posterior.argmax(axis=1))[:, None] == np.arange(n_classes**2)
    drawn = np.ones(len(labels), dtype=np.int64) if weights is None else weights
    return (drawn @ cell.astype(float)).astype(np.int64).reshape(*drawn.shape[:-1], n_classes, n_classes)


def measure(
    posterior: Floats,
    labels: Labels,
    patients: Sequence[Hashable] | None = None,
    seed: int = 0,
    n_bootstrap: int = N_BOOTSTRAP,
) -> dict[str, Estimate]:
    """``MEASURES`` of all classes together with their intervals.

    Parameters
    ----------
    posterior : (n, classes)
        Probabilities.
    labels : (n,)
        True classes.
    patients : (n,), optional
        Patient of each image.  Default: each image is another patient's.
    seed, n_bootstrap : int
        Of the bootstrap, and its number of draws.

    Returns
    -------
    dict of str to Estimate
        The AUC as of :func:`bayescope.metrics.delong.auc_interval`.  A draw that lacks a class is left out of the interval of
        the balanced accuracy.

    Raises
    ------
    DataError
        If ``patients`` are not ``n``.
    """
    called_right = posterior.argmax(axis=1) == labels
    means = means_of(np.column_stack([called_right, surprise(posterior, labels), squared_error(posterior, labels)]))

    def values(weights: Labels) -> Floats:
        return np.column_stack([balanced_accuracy(posterior, labels, weights), means(weights)])

    balanced, share, loss, error = bootstrap(values, len(labels), patients, seed=seed, n_bootstrap=n_bootstrap)
    return {
        "AUC": auc_interval(posterior, labels, patients),
        "accuracy": share,
        "balanced accuracy": balanced,
        "log loss": replace(loss, value=log_loss(posterior, labels)),
        "Brier score": replace(error, value=brier(posterior, labels)),
    }


def measure_classes(
    posterior: Floats,
    labels: Labels,
    class_names: Sequence[str],
    prevalence: Floats,
    patients: Sequence[Hashable] | None = None,
    seed: int = 0,
    n_bootstrap: int = N_BOOTSTRAP,
) -> dict[str, dict[str, Estimate]]:
    """``CLASS_MEASURES`` of each class against the rest, by its name, with intervals as of :func:`measure`.

    ``prevalence (classes,)``: of the predictive values.
    """

    def values(weights: Labels) -> Floats:
        return _rates(confusion(posterior, labels, weights), prevalence).reshape(len(weights), -1)

    rates = iter(bootstrap(values, len(labels), patients, seed=seed, n_bootstrap=n_bootstrap))
    found = {}
    for k, name in enumerate(class_names):
        against_rest = np.stack([-posterior[:, k], posterior[:, k]], axis=1)
        area = auc_interval(against_rest, (labels == k).astype(np.int64), patients)
        found[name] = {"AUC": area} | {what: next(rates) for what in CLASS_MEASURES[1:]}
    return found


def ratio(part: np.ndarray, whole: np.ndarray) -> Floats:
    """``part / whole``, NaN where ``whole`` is 0."""
    return np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, np.nan), where=np.asarray(whole) > 0)


def _rates(counts: Labels, prevalence: Floats) -> Floats:
    """Sensitivity, specificity, PPV and NPV of each class from the :func:`confusion`: ``(…, classes, 4)``."""
    of_class = counts.sum(axis=-1)
    rates = ratio(counts, of_class[..., None])
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    false, others = counts.sum(axis=-2) - hits, counts.sum(axis=(-2, -1))[..., None] - of_class
    called, not_called = prevalence @ rates, prevalence @ (1 - rates)
    found = np.diagonal(rates, axis1=-2, axis2=-1)
    own = prevalence * found
    several = [found, 1 - ratio(false, others), ratio(own, called), ratio(not_called - (prevalence - own), not_called)]
    return np.stack(several, axis=-1)


def _share_called(posterior: Floats, k: int, chosen: np.ndarray) -> float:
    return float((posterior.argmax(axis=1)[chosen] == k).mean()) if chosen.any() else float("nan")
