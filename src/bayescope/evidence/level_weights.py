"""Level weights: the weighted sum of the evidence per level that gives one log-likelihood per class.

``log p(x|y) = Σ_k w_k δ_k(x, y)`` up to a constant, with δ_k the denoising evidence of level σ_k (nats per unit of log σ) and
d the spacing of the levels in log σ:

- ``bound``: w = d.  Exact for the ideal denoiser.
- ``power``: w = d σ^p.  p > 0 trusts coarse structure more than fine.
- ``fitted``: w = d exp(a + b u + c u²), u = log σ scaled to [-1, 1]: logistic regression on held-out images.  Three numbers
  are all a validation split of some dozens can carry; a Gaussian prior of unit width on b and c, 3 on a, keeps
  them near the bound.  Includes ``bound`` and, up to scale, ``power``.  An offset per class is left to the calibration, which
  is fitted on other folds: fitted here too, it cost Cllr on small validation splits and gained none on large ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp, softmax
from scipy.stats import norm
from scipy.stats import t as student

from bayescope.config import EvidenceConfig
from bayescope.errors import DataError, lookup
from bayescope.evidence.denoising import LevelEvidence
from bayescope.evidence.noise import independent, variance_of_mean
from bayescope.types import Floats, Labels

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
        return levels.mean @ self.weights + self.class_bias

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


def choose_level_weights(config: EvidenceConfig, held_out: LevelEvidence, labels: Labels) -> LevelWeights:
    """The configured level weights.

    Parameters
    ----------
    config : EvidenceConfig
        The configuration of scoring.
    held_out : LevelEvidence
        Evidence of held-out images.
    labels : ndarray of shape (n,)
        Their classes.

    Returns
    -------
    LevelWeights
        Only ``fitted`` depends on the held-out images; where these lack a class, it is the bound.

    Raises
    ------
    ConfigError
        If the configured weights do not exist.
    """
    return lookup(LEVEL_WEIGHTS, config.level_weights, "evidence.level_weights").choose(config, held_out, labels)


def _bound(config: EvidenceConfig, held_out: LevelEvidence, labels: Labels) -> LevelWeights:
    return LevelWeights(level_spacing(held_out.sigmas), np.zeros(held_out.values.shape[1]))


def _power(config: EvidenceConfig, held_out: LevelEvidence, labels: Labels) -> LevelWeights:
    weights = level_spacing(held_out.sigmas) * held_out.sigmas**config.power
    return LevelWeights(weights, np.zeros(held_out.values.shape[1]))


def _fitted(config: EvidenceConfig, held_out: LevelEvidence, labels: Labels) -> LevelWeights:
    lacks_a_class = np.bincount(labels, minlength=held_out.values.shape[1]).min() == 0
    return _bound(config, held_out, labels) if lacks_a_class else fit_level_weights(held_out, labels)


@dataclass(frozen=True)
class LevelWeighting:
    """A way to weight the levels.

    Parameters
    ----------
    choose : callable
        ``choose(config, held_out, labels)`` gives the level weights.
    is_fitted : bool
        Whether they depend on held-out images.
    """

    choose: Callable[[EvidenceConfig, LevelEvidence, Labels], LevelWeights]
    is_fitted: bool


LEVEL_WEIGHTS: dict[str, LevelWeighting] = {
    "bound": LevelWeighting(_bound, is_fitted=False),
    "power": LevelWeighting(_power, is_fitted=False),
    "fitted": LevelWeighting(_fitted, is_fitted=True),
}
"""By word of ``evidence.level_weights``."""


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


def fit_level_weights(held_out: LevelEvidence, labels: Labels) -> LevelWeights:
    """Fit ``fitted`` weights by penalised maximum likelihood, at the class frequencies of the held-out images.

    Parameters
    ----------
    held_out : LevelEvidence
        Evidence of held-out images.
    labels : ndarray of shape (n,)
        Their classes.

    Returns
    -------
    LevelWeights
        The weights.

    Raises
    ------
    DataError
        If a class has no held-out image.
    """
    n_classes = held_out.values.shape[1]
    counts = np.bincount(labels, minlength=n_classes)
    if counts.min() == 0:
        raise DataError(
            f"validation images per class: {counts.tolist()}; fitted level weights need at least one of each. "
            "Give a larger validation split, or set level_weights to 'bound' or 'power'"
        )
    spacing = level_spacing(held_out.sigmas)
    place = _place(held_out.sigmas)
    centred = held_out.mean - held_out.mean.mean(axis=1, keepdims=True)
    log_frequency = np.log(counts / counts.sum())

    def weights(theta: Floats) -> Floats:
        return np.asarray(spacing * np.exp(theta[0] + theta[1] * place + theta[2] * place**2))

    def objective(theta: Floats) -> float:
        logits = centred @ weights(theta) + log_frequency
        loss = -log_softmax(logits, axis=1)[np.arange(len(labels)), labels].sum()
        return float(loss + 0.5 * (theta[1:] ** 2).sum() + 0.5 * (theta[0] / 3) ** 2)

    start = min((np.array([scale, 0.0, 0.0]) for scale in (-6.0, -3.0, 0.0)), key=objective)
    return LevelWeights(weights(minimize(objective, start, method="L-BFGS-B").x), np.zeros(n_classes))


def _place(sigmas: Floats) -> Floats:
    log_sigma = np.log(sigmas)
    middle, half = (log_sigma[0] + log_sigma[-1]) / 2, (log_sigma[-1] - log_sigma[0]) / 2
    return (log_sigma - middle) / half if half > 0 else np.zeros_like(log_sigma)
