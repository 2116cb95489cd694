"""How the evidence of two classes varies over levels, noises and images: learned on held-out images.

The differences between the class that wins an image and every other class are taken as draws of a multivariate t with
mean zero (a class may win or lose) and scale Σ between levels plus τ² for each single noise.  Expectation-maximisation (Liu &
Rubin 1995): each image's weight is what its size says under the t; Σ is shrunk towards a diagonal (Ledoit & Wolf 2004),
since a validation split may hold some dozens of images.
"""

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import gammaln
from sklearn.covariance import ledoit_wolf

from bayescope.calibration import Weighing
from bayescope.evidence.bound import LevelEvidence
from bayescope.evidence.plan import LevelStatistics, Plan
from bayescope.shapes import Floats, Labels

FEWEST = 16
_ROUNDS = 30
_DOF = (2.5, 200.0)


def fit_level_statistics(levels: LevelEvidence, labels: Labels, weighing: Weighing) -> LevelStatistics | None:
    """Statistics of held-out images with their labels, the classes weighing alike; None with fewer than 16 images."""
    if len(labels) < FEWEST:
        return None
    weight = _class_balance(labels, levels.values.shape[1])
    offset = _common_to_images(levels, weight)
    contrasts = _contrasts(levels.values - offset, weighing.evidence(levels).argmax(axis=1))
    weight = weight.repeat(levels.values.shape[1] - 1)
    means = contrasts.mean(axis=2)
    n_noises = contrasts.shape[2]
    single = n_noises < 2
    within = np.zeros_like(means) if single else contrasts.var(axis=2, ddof=1)
    n_draws = means.shape[1] * n_noises
    dof, trust = 10.0, np.ones(len(means))
    for _ in range(_ROUNDS):
        share = weight * trust
        noise = share @ within / weight.sum()
        between = _shrunk(means * np.sqrt(share / weight.mean())[:, None]) - np.diag(noise / n_noises)
        scale = _positive(between)
        size = _mahalanobis(means, within, scale, noise, n_noises)
        dof = _fit_dof(size, weight, n_draws)
        trust = (dof + n_draws) / (dof + size)
    statistics = LevelStatistics(offset, scale, noise, dof, np.ones(n_draws))
    plan = Plan(statistics, weighing.weights)
    return replace(statistics, inflation=plan.inflation_on(contrasts[:, plan.order, plan.noise_index]))


def _class_balance(labels: Labels, n_classes: int) -> Floats:
    """Weights ``(n,)`` of mean one that make the classes present count alike."""
    counts = np.bincount(labels, minlength=n_classes)
    return np.asarray(len(labels) / (np.count_nonzero(counts) * counts[labels]))


def _common_to_images(levels: LevelEvidence, weight: Floats) -> Floats:
    """What each draw says of the classes on average over images: ``(classes, levels, noises)``, mean zero over classes."""
    average = np.einsum("n,nckj->ckj", weight / weight.sum(), levels.values)
    return np.asarray(average - average.mean(axis=0))


def _contrasts(values: Floats, winner: Labels) -> Floats:
    """Winner less every other class: ``(images * (classes - 1), levels, noises)``."""
    difference = values[np.arange(len(values)), winner][:, None] - values
    return np.asarray(difference[np.arange(values.shape[1]) != winner[:, None]])


def _shrunk(samples: Floats) -> Floats:
    deviation = np.sqrt((samples**2).mean(axis=0)) + np.finfo(float).tiny
    correlation, _ = ledoit_wolf(samples / deviation, assume_centered=True)
    return np.asarray(correlation * np.outer(deviation, deviation))


def _positive(matrix: Floats) -> Floats:
    value, vector = np.linalg.eigh(matrix)
    return np.asarray((vector * value.clip(min=1e-6 * value.max())) @ vector.T)


def _mahalanobis(means: Floats, within: Floats, scale: Floats, noise: Floats, n_noises: int) -> Floats:
    """Of all draws, from the level means and the variance within levels: ``(contrasts,)``."""
    between = np.einsum("nk,kl,nl->n", means, np.linalg.inv(scale + np.diag(noise / n_noises)), means)
    return between if n_noises < 2 else between + (within / noise).sum(axis=1) * (n_noises - 1)


def _fit_dof(size: Floats, weight: Floats, n_draws: int) -> float:
    """Maximum likelihood of the degrees of freedom given the squared sizes."""

    def loss(log_dof: float) -> float:
        dof = np.exp(log_dof)
        constant = gammaln((dof + n_draws) / 2) - gammaln(dof / 2) - n_draws / 2 * np.log(dof)
        return float(-(weight * (constant - (dof + n_draws) / 2 * np.log1p(size / dof))).sum())

    low, high = np.log(_DOF)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))
