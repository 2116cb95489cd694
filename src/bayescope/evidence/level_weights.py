"""Level weights: the weighted sum of the evidence per level that gives one log-likelihood per class.

``log p(x|y) = Σ_k w_k δ_k(x, y)`` up to a constant, with δ_k the denoising evidence of level σ_k (nats per unit of log σ).  How
they are chosen: :mod:`bayescope.evidence.level_weights_fit`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from scipy.special import logsumexp, softmax
from scipy.stats import norm
from scipy.stats import t as student

from bayescope.evidence.denoising import LevelEvidence
from bayescope.evidence.noise import independent, variance_of_mean
from bayescope.evidence.rowwise import weighted_sum
from bayescope.types import Floats

_HELD = 0.95


@dataclass(frozen=True)
class LevelWeights:
    """Weights of the noise levels, which turn level evidence into class evidence.

    Parameters
    ----------
    weights : ndarray of shape (levels,)
        Weight of each level.
    class_bias : ndarray of shape (classes,)
        Bias of each class, in nats.
    """

    weights: Floats
    class_bias: Floats

    def evidence(self, levels: LevelEvidence) -> Floats:
        """Log-likelihood per class.

        Parameters
        ----------
        levels : LevelEvidence
            Evidence of the images per level.

        Returns
        -------
        ndarray of shape (n, classes)
            Nats, up to a constant common to the classes.
        """
        return weighted_sum(levels.mean, self.weights) + self.class_bias

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, fit for JSON."""
        return {"weights": self.weights.tolist(), "class_bias": self.class_bias.tolist()}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`.  Raises KeyError or ValueError if ``content`` is something else."""
        return cls(np.array(content["weights"], dtype=float), np.array(content["class_bias"], dtype=float))

    def log_likelihood_ratio(self, levels: LevelEvidence, class_prior: Floats) -> tuple[Floats, Floats]:
        """Log-likelihood ratio of each class against the rest, and its Monte Carlo standard error.

        Parameters
        ----------
        levels : LevelEvidence
            Evidence of the images per level.
        class_prior : ndarray of shape (classes,)
            Mixes the other classes.

        Returns
        -------
        tuple of ndarray of shape (n, classes)
            Ratio and standard error, in nats; see :func:`log_likelihood_ratio`.
        """
        return log_likelihood_ratio(self.evidence(levels), class_prior, partial(self.standard_error, levels))

    def standard_error(self, levels: LevelEvidence, gradient: Floats) -> Floats:
        """Monte Carlo standard error of contrasts ``Σ_c gradient[:, c] evidence[:, c]``.

        Parameters
        ----------
        levels : LevelEvidence
            Evidence of the images per level.
        gradient : ndarray of shape (n, classes)
            Coefficients of the contrasts.

        Returns
        -------
        ndarray of shape (n,)
            Standard error in nats, due to the finite number of noises, widened so that ±1.645 of it covers 90 % however few
            they are; NaN for a single noise.
        """
        if levels.values.shape[3] < 2:
            return np.full(len(gradient), np.nan)
        contrast = np.einsum("nc,nclj->nlj", gradient, levels.values)
        return _widened(variance_of_mean(contrast) * self.weights**2, independent(contrast).shape[2])


def _widened(of_level: Floats, replicates: int) -> Floats:
    """Standard error of sums of levels, from variances ``(n, levels)`` of ``replicates`` each: ``(n,)``.

    Student's t in place of the normal distribution, at the degrees of freedom of Satterthwaite (1946), freed of the bias of the
    squares of variances that are themselves estimated.
    """
    variance, squares = of_level.sum(axis=1), (of_level**2).sum(axis=1)
    dof = np.divide((replicates + 1) * variance**2, squares, out=np.full_like(variance, np.inf), where=squares > 0) - 2
    return np.asarray(np.sqrt(variance) * student.ppf(_HELD, dof) / norm.ppf(_HELD))


def log_likelihood_ratio(
    evidence: Floats, class_prior: Floats, standard_error: Callable[[Floats], Floats]
) -> tuple[Floats, Floats]:
    """Log-likelihood ratio of each class against the rest.

    Parameters
    ----------
    evidence : ndarray of shape (n, classes)
        Evidence, in nats.
    class_prior : ndarray of shape (classes,)
        Mixes the other classes.
    standard_error : callable
        Standard error of contrasts of the evidence, from their gradients ``(n, classes)`` (delta method).

    Returns
    -------
    tuple of ndarray of shape (n, classes)
        Ratio and standard error, in nats.
    """
    n_classes = evidence.shape[1]
    ratio, error = np.empty_like(evidence), np.empty_like(evidence)
    for k in range(n_classes):
        rest = np.arange(n_classes) != k
        joint = evidence[:, rest] + np.log(class_prior[rest] / class_prior[rest].sum())
        ratio[:, k] = evidence[:, k] - logsumexp(joint, axis=1)
        gradient = np.zeros_like(evidence)
        gradient[:, k] = 1.0
        gradient[:, rest] = -softmax(joint, axis=1)
        error[:, k] = standard_error(gradient)
    return ratio, error


def level_spacing(sigmas: Floats) -> Floats:
    """Spacing of noise levels in log σ.

    Parameters
    ----------
    sigmas : ndarray of shape (levels,)
        Increasing noise levels.

    Returns
    -------
    ndarray of shape (levels,)
        Width of the interval that each level represents; one for a single level.
    """
    if len(sigmas) == 1:
        return np.ones(1)
    return np.gradient(np.log(sigmas))
