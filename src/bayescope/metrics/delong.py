"""The AUC's variance by DeLong, patients kept whole.

DeLong et al. (Biometrics 1988), from the placements of every image among those of the other class, found by
midranks in O(n log n) (Sun & Xu, IEEE Signal Process. Lett. 2014).  A placement less the AUC, over the number of
images of its class, is the pull of that image on the AUC::

    var AUC = Σ over positives pull² m/(m-1) + Σ over negatives pull² n/(n-1)

Images of one patient are not independent: pulls are added up within a patient first (Obuchowski, Biometrics
1997).  More than two classes: the mean AUC and pull of each class against the rest."""

import numpy as np
from scipy.stats import rankdata

from bayescope.metrics.classification import auc as mean_auc
from bayescope.types import Floats, Labels


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
    shown = [1] if posterior.shape[1] == 2 else range(posterior.shape[1])
    return np.mean([_one_vs_rest_pulls(posterior[:, k], labels == k, patients) for k in shown], axis=0)


def delong(posteriors: Floats, labels: Labels, patients: Labels | None = None) -> tuple[Floats, Floats]:
    """AUCs ``(observers,)`` and their covariance ``(observers, observers)``; ``posteriors (observers, n, classes)``."""
    whose = np.arange(len(labels)) if patients is None else patients
    pulled = np.stack([pulls(posterior, labels, whose) for posterior in posteriors])
    return np.array([mean_auc(posterior, labels) for posterior in posteriors]), pulled @ pulled.T


def _one_vs_rest_pulls(score: Floats, positive: np.ndarray, patients: Labels) -> Floats:
    pulled = np.zeros(patients.max() + 1)
    if not positive.any() or positive.all():
        return np.full_like(pulled, np.nan)
    for chosen, placed in zip((positive, ~positive), placements(score, positive), strict=True):
        owners = len(np.unique(patients[chosen]))
        correction = np.sqrt(owners / (owners - 1)) if owners > 1 else np.nan
        pulled += np.bincount(patients[chosen], correction * (placed - placed.mean()) / len(placed), len(pulled))
    return pulled
