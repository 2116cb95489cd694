"""The area under the ROC curve (AUC) and its variance by DeLong, clustered by patient.

DeLong et al. (Biometrics 1988), from the placements of every image among those of the other class, found by
midranks in O(n log n) (Sun & Xu, IEEE Signal Process. Lett. 2014).  A placement less the AUC, over the number of
images of its class, is the pull of that image on the AUC::

    var AUC = Σ over positives pull² m/(m-1) + Σ over negatives pull² n/(n-1)

Images of one patient are not independent: pulls are added up within a patient first (Obuchowski, Biometrics
1997).  Two classes: the AUC is the same for both.  More: the mean AUC and pull of each class against the rest."""

from collections.abc import Hashable, Sequence

import numpy as np
from scipy.special import expit, logit
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from bayescope.metrics.bootstrap import Estimate, patient_numbers
from bayescope.types import Floats, Labels

Z = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""


def auc(posterior: Floats, labels: Labels) -> float:
    """Area under the ROC curve of posteriors ``(n, classes)`` and labels ``(n,)``; NaN if a class is absent."""
    return float(np.mean([one_vs_rest_auc(posterior[:, k], labels == k) for k in _shown_classes(posterior)]))


def one_vs_rest_auc(score: Floats, positive: np.ndarray) -> float:
    """Probability that a positive scores above a negative, ties counting half; NaN if there are none of either."""
    if positive.all() or not positive.any():
        return float("nan")
    return float(roc_auc_score(positive, score))


def auc_interval(posterior: Floats, labels: Labels, patients: Sequence[Hashable] | None = None) -> Estimate:
    """AUC with its 95 % interval by DeLong, on the scale of its log odds.

    Parameters
    ----------
    posterior : (n, classes)
        Probabilities, or any scores.
    labels : (n,)
        True classes.
    patients : (n,), optional
        Patient of each image.  Default: each image is another patient's.

    Returns
    -------
    Estimate
        Ends are NaN if the AUC is 0 or 1, or a class has one patient only; the value too if a class is absent.

    Raises
    ------
    DataError
        If ``patients`` are not ``n``.
    """
    return log_odds_interval(auc(posterior, labels), pulls(posterior, labels, patient_numbers(patients, len(labels))))


def log_odds_interval(value: float, pulled: Floats) -> Estimate:
    """An AUC with the 95 % interval that the pulls of patients ``(patients,)`` give, on the scale of its log odds."""
    if not 0 < value < 1:
        return Estimate(value, float("nan"), float("nan"))
    reach = Z * float(np.linalg.norm(pulled)) / (value * (1 - value))
    return Estimate(value, float(expit(logit(value) - reach)), float(expit(logit(value) + reach)))


def placements(score: Floats, positive: np.ndarray) -> tuple[Floats, Floats]:
    """Share of negatives below each positive, and of positives above each negative, ties counting half."""
    ranks, n_positive = rankdata(score), int(positive.sum())
    below = (ranks[positive] - rankdata(score[positive])) / (len(score) - n_positive)
    above = 1 - (ranks[~positive] - rankdata(score[~positive])) / n_positive
    return below, above


def pulls(posterior: Floats, labels: Labels, patients: Labels) -> Floats:
    """Pull of each patient on the AUC ``(patients,)``: its variance is the sum of their squares.

    ``posterior (n, classes)``, ``labels (n,)``, ``patients (n,)`` numbered from 0.  NaN if a class has one patient or none.
    """
    return np.mean([_one_vs_rest_pulls(posterior[:, k], labels == k, patients) for k in _shown_classes(posterior)], axis=0)


def delong(posteriors: Floats, labels: Labels, patients: Labels | None = None) -> tuple[Floats, Floats]:
    """AUCs ``(observers,)`` and their covariance ``(observers, observers)``; ``posteriors (observers, n, classes)``."""
    whose = np.arange(len(labels)) if patients is None else patients
    pulled = np.stack([pulls(posterior, labels, whose) for posterior in posteriors])
    return np.array([auc(posterior, labels) for posterior in posteriors]), pulled @ pulled.T


def _shown_classes(posterior: Floats) -> Sequence[int]:
    return [1] if posterior.shape[1] == 2 else range(posterior.shape[1])


def _one_vs_rest_pulls(score: Floats, positive: np.ndarray, patients: Labels) -> Floats:
    pulled = np.zeros(patients.max() + 1)
    if not positive.any() or positive.all():
        return np.full_like(pulled, np.nan)
    for chosen, placed in zip((positive, ~positive), placements(score, positive), strict=True):
        owners = len(np.unique(patients[chosen]))
        correction = np.sqrt(owners / (owners - 1)) if owners > 1 else np.nan
        pulled += np.bincount(patients[chosen], correction * (placed - placed.mean()) / len(placed), len(pulled))
    return pulled
