"""Fits on held-out images how the evidence of two classes varies over levels, noises and images.

The differences between the class that wins an image and every other class, beyond those predicted by the Gaussian evidence, are
modelled as draws of a multivariate t with mean zero (a class may win or lose) and scale Σ between levels plus τ² for each
single noise, negatively correlated between opposite noises. Expectation-maximisation (Liu & Rubin 1995): the weight of each
image follows from its size under the t; Σ is shrunk towards a diagonal (Ledoit & Wolf 2004), since a validation split may have
only some dozens of images.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import gammaln
from sklearn.covariance import ledoit_wolf

from bayescope.evidence.denoising import LevelEvidence
from bayescope.evidence.level_weights import LevelWeights
from bayescope.evidence.noise import independent
from bayescope.evidence.plan import LevelStatistics, Plan
from bayescope.evidence.stopping import risk_curve
from bayescope.types import Floats, Labels

FEWEST = 16
_ROUNDS = 30
_DOF = (2.5, 200.0)
_PLAYED = 500
_LEAST = 1e-9
_SHARES = np.geomspace(1e-4, 0.5, 24)


def fit_level_statistics(
    levels: LevelEvidence, gaussian: Floats, labels: Labels, level_weights: LevelWeights, cost: Floats | None = None
) -> LevelStatistics | None:
    """Statistics of held-out images with their labels, the classes weighted equally; None with fewer than 16 images.

    ``gaussian``: their evidence without the network, nats, ``(n, classes)``; ``level_weights``: with the class biases of the
    decisions that the stopping rule is to foretell; ``cost``: of a draw at each level, ``(levels,)``, the same for all if not
    given.
    """
    if len(labels) < FEWEST:
        return None
    n_classes = levels.values.shape[1]
    weight = _class_balance(labels, n_classes)
    winner = level_weights.evidence(levels).argmax(axis=1)
    offset, gaussian_offset = _common_to_images(levels.values, weight), _common_to_images(gaussian, weight)
    contrasts, gaussian_contrasts = _contrasts(levels.values - offset, winner), _contrasts(gaussian - gaussian_offset, winner)
    weight = weight.repeat(n_classes - 1)
    slope = _slope(contrasts, gaussian_contrasts, weight)
    contrasts = contrasts - slope * gaussian_contrasts[:, None, None]
    means = contrasts.mean(axis=2)
    spread_of = _Spread.over_noises(contrasts)
    n_draws = contrasts[0].size
    dof, trust = 10.0, np.ones(len(means))
    for _ in range(_ROUNDS):
        share = weight * trust
        noise = spread_of.average(share / weight.sum())
        between = _shrunk(means * np.sqrt(share / weight.mean())[:, None]) - np.diag(noise.of_mean)
        scale = _positive(between)
        size = np.einsum("nk,kl,nl->n", means, np.linalg.inv(scale + np.diag(noise.of_mean)), means)
        size += spread_of.relative_to(noise)
        dof = _fit_dof(size, weight, n_draws)
        trust = (dof + n_draws) / (dof + size)
    statistics = LevelStatistics(
        offset=offset - slope * gaussian_offset[:, None, None],
        slope=slope,
        gaussian_scale=float(np.sqrt(weight @ gaussian_contrasts**2 / weight.sum())),
        scale=scale,
        noise=noise.of_draw,
        opposite=noise.of_opposites,
        dof=dof,
        spread=np.tile([1.0, 0.0], (n_draws + 1, 1)),
        risk=np.ones((1, 2)),
        cost=np.ones(1) if cost is None else cost,
    )
    plan = Plan(statistics, level_weights.weights)
    error, size = plan.predictions(contrasts[:, plan.order, plan.noise_index], gaussian_contrasts)
    relative = error[:, :-1] ** 2 / plan.variance_left[:-1]
    spread = np.array([_fit_spread(relative[:, m], size[:, m], weight) for m in range(n_draws)])
    standardised = relative / (spread[:, 0] + spread[:, 1] * size[:, :-1])
    tail = _fit_tail(standardised[:, : n_draws // 2 + 1], weight)
    statistics = replace(statistics, spread=np.vstack([spread, (1.0, 0.0)]), dof=tail)
    return replace(statistics, risk=_risk(Plan(statistics, level_weights.weights), gaussian, levels, labels, level_weights))


@dataclass(frozen=True)
class _Spread:
    """Variance over the noises of a level, ``(…, levels)`` each.

    ``even``: of what is independent, means of opposite pairs if there are any, of ``count`` to a level; ``odd``: of the half
    differences of pairs, zero without.
    """

    even: Floats
    odd: Floats
    count: int

    @classmethod
    def over_noises(cls, contrasts: Floats) -> Self:
        """Of ``contrasts (n, levels, noises)``."""
        replicates = independent(contrasts)
        count = replicates.shape[2]
        even = replicates.var(axis=2, ddof=1) if count > 1 else np.zeros(contrasts.shape[:2])
        if count == contrasts.shape[2]:
            return cls(even, np.zeros_like(even), count)
        return cls(even, ((contrasts[:, :, ::2] - contrasts[:, :, 1::2]) ** 2 / 4).mean(axis=2), count)

    def average(self, share: Floats) -> Self:
        """Over contrasts, ``share (n,)`` of each."""
        return replace(self, even=share @ self.even, odd=share @ self.odd)

    @property
    def of_mean(self) -> Floats:
        return self.even / self.count

    @property
    def of_draw(self) -> Floats:
        return self.even + self.odd

    @property
    def of_opposites(self) -> Floats:
        """Covariance of two opposite noises, zero without."""
        return np.where(self.odd > 0, self.even - self.odd, 0.0)

    def relative_to(self, average: Self) -> Floats:
        """Squared size of each contrast's noise relative to the average: ``(n,)``."""
        even = _ratio(self.even, average.even) * (self.count - 1)
        return np.asarray((even + _ratio(self.odd, average.odd) * self.count).sum(axis=1))


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Zero where there is nothing to compare with."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _risk(plan: Plan, gaussian: Floats, levels: LevelEvidence, labels: Labels, level_weights: LevelWeights) -> Floats:
    """Chances at which a class is dropped, and the resulting disagreement rate of predictions: ``(points, 2)``, both
    rising."""
    chosen = np.linspace(0, len(labels) - 1, min(len(labels), _PLAYED)).astype(int)  # they may stand in order of class
    weight = _class_balance(labels[chosen], levels.values.shape[1])
    winner = level_weights.evidence(levels)[chosen].argmax(axis=1)
    risk = risk_curve(plan, gaussian[chosen], levels.values[chosen], level_weights.class_bias, winner, weight, _SHARES)
    rising = risk + _LEAST * _SHARES
    below = _LEAST * np.array([_SHARES[0], rising[0]])
    return np.vstack([below, np.column_stack([_SHARES, rising])])


def _class_balance(labels: Labels, n_classes: int) -> Floats:
    """Weights ``(n,)`` of mean one that make the classes present count alike."""
    counts = np.bincount(labels, minlength=n_classes)
    return np.asarray(len(labels) / (np.count_nonzero(counts) * counts[labels]))


def _common_to_images(values: Floats, weight: Floats) -> Floats:
    """What ``values (n, classes, …)`` say of the classes on average over images: ``(classes, …)``, mean zero over classes."""
    average = np.tensordot(weight / weight.sum(), values, axes=1)
    return np.asarray(average - average.mean(axis=0))


def _contrasts(values: Floats, winner: Labels) -> Floats:
    """Winner less every other class, of ``(n, classes, …)``: ``(images * (classes - 1), …)``."""
    difference = values[np.arange(len(values)), winner][:, None] - values
    return np.asarray(difference[np.arange(values.shape[1]) != winner[:, None]])


def _slope(contrasts: Floats, gaussian: Floats, weight: Floats) -> Floats:
    """Of every draw's contrasts ``(n, levels, noises)`` on those of the Gaussian evidence ``(n,)``: ``(levels, noises)``."""
    power = weight @ gaussian**2
    return (
        np.asarray(np.tensordot(weight * gaussian, contrasts, axes=1) / power) if power > 0 else np.zeros(contrasts.shape[1:])
    )


def _shrunk(samples: Floats) -> Floats:
    deviation = np.sqrt((samples**2).mean(axis=0)) + np.finfo(float).tiny
    correlation, _ = ledoit_wolf(samples / deviation, assume_centered=True)
    return np.asarray(correlation * np.outer(deviation, deviation))


def _positive(matrix: Floats) -> Floats:
    value, vector = np.linalg.eigh(matrix)
    return np.asarray((vector * value.clip(min=1e-6 * value.max())) @ vector.T)


def _fit_spread(squared_error: Floats, size: Floats, weight: Floats) -> tuple[float, float]:
    """α and β of the variance ``α + β size``, by maximum likelihood; a weak prior keeps α near one and β small."""

    def loss(theta: Floats) -> tuple[float, Floats]:
        """And its gradient."""
        level, slope = np.exp(theta)
        variance = level + slope * size
        ratio = squared_error / variance
        likelihood, rise = weight @ (np.log(variance) + ratio) / 2, weight * (1 - ratio) / variance / 2
        prior = (theta[0] ** 2 + ((theta[1] + 2) / 2) ** 2) / 2
        return float(likelihood + prior), np.array([level * rise.sum() + theta[0], slope * (rise @ size) + (theta[1] + 2) / 4])

    start, bounds = np.array([0.0, -2.0]), [(-4, 4), (-8, 4)]
    log_level, log_slope = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(np.exp(log_level)), float(np.exp(log_slope))


def _fit_tail(squares: Floats, weight: Floats) -> float:
    """Degrees of freedom of a t of variance one, by maximum likelihood, from squared errors ``(n, draws)`` of variance one."""

    def loss(log_dof: float) -> float:
        dof = np.exp(log_dof)
        constant = gammaln((dof + 1) / 2) - gammaln(dof / 2) - np.log(dof - 2) / 2
        return float(-(weight @ (constant - (dof + 1) / 2 * np.log1p(squares / (dof - 2)))).sum())

    return _best_dof(loss)


def _fit_dof(size: Floats, weight: Floats, n_draws: int) -> float:
    """Maximum likelihood of the degrees of freedom given the squared sizes."""

    def loss(log_dof: float) -> float:
        dof = np.exp(log_dof)
        constant = gammaln((dof + n_draws) / 2) - gammaln(dof / 2) - n_draws / 2 * np.log(dof)
        return float(-(weight * (constant - (dof + n_draws) / 2 * np.log1p(size / dof))).sum())

    return _best_dof(loss)


def _best_dof(loss: Callable[[float], float]) -> float:
    low, high = np.log(_DOF)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))
