"""The order of network passes in sequential scoring, and prediction of the full evidence from the first of them.

A *draw* is one noise at one level under every class. The noises are the same for every image, so the mean evidence of a draw
is known from held-out images, and is subtracted. So is the part predicted without the network from the classes' means and
spectrum: the *Gaussian evidence* of an image, g per class, times a slope b_k for each level. It excludes improbable classes
without a pass. Let y_i be the remaining difference of two classes' denoising evidence at draw i, and T = Σ_i t_i y_i its value
for all draws. Over images the draws are correlated: positively between neighbouring levels, negatively between opposite
noises. With K the scale matrix of y (Σ between levels, τ² for each draw's own noise, the covariance of opposite noises, all
learned on held-out images), the best linear prediction of T from the first m draws (kriging) and its error are, with the
Cholesky factor K = L Lᵀ, the innovations v = L⁻¹y and z = L⁻¹K t::

    T_m = Σ_{i≤m} z_i v_i          s_m² = Σ_{i>m} z_i²

Images differ in the size of their differences and in their noise. So the variance of T - T_m is s_m² (α_m + β_m (u² + Σ_{i≤m}
v_i²)/(m + 1)), with u the standardised difference of the Gaussian evidence, and α and β fitted on held-out images (a
multivariate t would prescribe them, but takes a large signal for noise), and its tail that of a t whose degrees of freedom ν
are fitted too. The standard error of an image depends on its own draws. This is a posterior given all draws so far;
inspecting it after every draw and stopping early does not invalidate it.

The order is greedy, by the variance explained per unit of time (a draw costs less where the network sees a cropped image), so
that every prefix is informative: for any number of passes, the draws are the first of one order, and the weights of a prefix
(z) are optimal for these draws.
"""

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import stdtr

from bayescope.evidence.noise import in_pairs, variance_of_mean
from bayescope.evidence.rowwise import weighted_sum
from bayescope.types import Floats, Labels

_JITTER = 1e-9


@dataclass(frozen=True)
class LevelStatistics:
    """How the evidence of two classes differs over images.

    ``offset``: what each draw says of an image without Gaussian evidence, nats per unit of log σ, ``(classes, levels,
    noises)``; ``slope``: what a nat of Gaussian evidence adds, ``(levels, noises)``; ``gaussian_scale``: root mean square
    difference of the Gaussian evidence of two classes, nats; ``scale``: between levels, nats², ``(levels, levels)``; ``noise``:
    of a single draw at each level, nats², ``(levels,)``; ``opposite``: covariance of two opposite noises at each level, nats²,
    ``(levels,)``; ``dof``: ν, of the error's tail; ``spread``: α and β after 0, 1, … draws, ``(draws + 1, 2)``;
    ``risk``: chances at which a class is dropped and the resulting disagreement rate of predictions, both rising, ``(points,
    2)``; ``cost``: of a draw at each level relative to one of the whole image, ``(levels,)``, or one for all.
    """

    offset: Floats
    slope: Floats
    gaussian_scale: float
    scale: Floats
    noise: Floats
    opposite: Floats
    dof: float
    spread: Floats
    risk: Floats
    cost: Floats = field(default_factory=lambda: np.ones(1))

    def share(self, disagreement_rate: float) -> float:
        """The chance to win at which a class is dropped, such that predictions disagree at ``disagreement_rate``."""
        if disagreement_rate == 0:
            return 0.0
        share, risk = np.log(self.risk.T)
        return float(np.exp(np.interp(np.log(disagreement_rate), risk, share)))

    def expected(self, level: Labels | int, noise: Labels | int, label: Labels, gaussian: Floats) -> Floats:
        """What a draw will say of images ``(n,)`` under one class each, given the Gaussian evidence for it ``(n,)``."""
        return np.asarray(self.offset[label, level, noise] + self.slope[level, noise] * gaussian)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return {name: np.asarray(value).tolist() for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`."""
        names = ("offset", "slope", "scale", "noise", "opposite", "spread", "risk")
        arrays = {name: np.array(values[name], dtype=float) for name in names}
        cost = np.array(values.get("cost", [1.0]))
        return cls(dof=float(values["dof"]), gaussian_scale=float(values["gaussian_scale"]), cost=cost, **arrays)


@dataclass(frozen=True)
class Plan:
    """An order of all ``levels x noises`` draws, informative at every prefix, and the prediction from each prefix.

    ``weights``: of the levels in the full evidence, ``(levels,)``.
    """

    statistics: LevelStatistics
    weights: Floats

    @property
    def n_noises(self) -> int:
        return int(self.statistics.offset.shape[2])

    @property
    def n_draws(self) -> int:
        return len(self.weights) * self.n_noises

    def start(self, gaussian: Floats) -> Floats:
        """Full evidence expected before any draw, nats, given the Gaussian evidence ``(n, classes)``: the same shape."""
        common = self.statistics.offset.mean(axis=2) @ self.weights
        return np.asarray(common + gaussian * (self.statistics.slope.mean(axis=1) @ self.weights))

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """Level of each draw, ``(draws,)``: each time the level whose next noise explains most of T's variance for its cost."""
        left, first = self._scale_by_level.copy(), np.arange(len(self.weights)) * self.n_noises
        target = left @ self.weights.repeat(self.n_noises) / self.n_noises
        taken = np.zeros(len(self.weights), dtype=np.int64)
        order = []
        for _ in range(self.n_draws):
            following = first + np.minimum(taken, self.n_noises - 1)
            variance = np.diag(left)[following]
            gain = target[following] ** 2 / np.maximum(variance, np.finfo(float).tiny)
            k = int(np.where(taken < self.n_noises, gain / self.statistics.cost, -1.0).argmax())
            direction = left[following[k]] / np.sqrt(variance[k])
            order.append(k)
            taken[k] += 1
            target = target - direction * (target[following[k]] / np.sqrt(variance[k]))
            left = left - np.outer(direction, direction)
        return np.array(order)

    @cached_property
    def noise_index(self) -> NDArray[np.int64]:
        """Which of its level's noises each draw takes, ``(draws,)``."""
        return np.array([(self.order[:i] == k).sum() for i, k in enumerate(self.order)])

    @cached_property
    def factor(self) -> Floats:
        """Cholesky factor L of the draws' scale matrix, in order: ``(draws, draws)``."""
        return np.asarray(np.linalg.cholesky(self._draw_scale), dtype=float)

    @cached_property
    def innovation_weights(self) -> Floats:
        """z: what each innovation adds to the prediction, ``(draws,)``."""
        share = self.weights[self.order] / self.n_noises
        return np.asarray(self.factor.T @ share)

    @cached_property
    def variance_left(self) -> Floats:
        """s_m² for m = 0 … draws, nats²: ``(draws + 1,)``; the last is zero."""
        rest = np.cumsum(self.innovation_weights[::-1] ** 2)[::-1]
        return np.r_[rest, 0.0]

    @cached_property
    def error_variance(self) -> Floats:
        """Expected squared error of T_m against the evidence of endless noise, nats², ``(draws + 1,)``."""
        inverse = np.linalg.inv(self.factor)
        terms = np.vstack([np.zeros(self.n_draws), self.innovation_weights[:, None] * inverse])
        coefficients = np.cumsum(terms, axis=0)
        latent = self.statistics.scale @ self.weights
        spread = np.einsum("mi,ij,mj->m", coefficients, self._draw_scale, coefficients)
        return np.asarray(spread - 2 * coefficients @ latent[self.order] + self.weights @ latent).clip(min=0.0)

    def innovation(self, m: int, draw: Floats, earlier: Floats) -> Floats:
        """v_m from draw m ``(n, classes)`` and the innovations before it ``(n, classes, m)``."""
        return np.asarray((draw - weighted_sum(earlier, self.factor[m, :m])) / self.factor[m, m])

    def common_variance(self, gradient: Floats, gaussian: Floats) -> Floats:
        """Squared error, nats², that the noises leave in all images alike: ``(n,)``; ``gradient``, ``gaussian (n,
        classes)``."""
        offset = np.einsum("nc,ckj->nkj", gradient, self.statistics.offset)
        contrast = offset + (gradient * gaussian).sum(axis=1)[:, None, None] * self.statistics.slope
        return weighted_sum(variance_of_mean(contrast), self.weights**2)

    def gaussian_size(self, difference: Floats) -> Floats:
        """u² of differences of the Gaussian evidence, nats."""
        scale = self.statistics.gaussian_scale
        return np.asarray((difference / scale) ** 2 if scale > 0 else np.zeros_like(difference))

    def variance(self, m: int | NDArray[np.int64], size: Floats, base: Floats) -> Floats:
        """Of the prediction after ``m`` draws, nats²; ``size``: u² and the squares of the innovations, summed.

        ``base``: ``variance_left``, or ``error_variance`` for the evidence of endless noise.
        """
        level, slope = self.statistics.spread[m].T
        return np.asarray(base[m] * (level + slope * size / (m + 1)))

    def standard_error(self, m: NDArray[np.int64], size: Floats, gradient: Floats, gaussian: Floats) -> Floats:
        """Against the evidence of endless noise, nats: ``(n,)``, of contrasts ``gradient (n, classes)`` after ``m`` draws.

        ``size``: squares of the contrasts' innovations, summed, ``(n,)``; ``gaussian``: Gaussian evidence, ``(n, classes)``.
        """
        norm = (gradient**2).sum(axis=1) / 2
        size = size + self.gaussian_size((gradient * gaussian).sum(axis=1))
        own = norm * self.variance(m, size / norm, self.error_variance)
        return np.sqrt(own + self.common_variance(gradient, gaussian))

    def chance_to_win(self, m: int, gap: Floats, size: Floats) -> Floats:
        """Probability that the full evaluation turns ``gap`` (nats by which a class is behind after ``m`` draws) round."""
        dof = self.statistics.dof
        scale = np.sqrt(self.variance(m, size, self.variance_left) * (dof - 2) / dof)
        ratio = np.divide(gap, scale, out=np.full_like(gap, np.inf), where=scale > 0)
        return np.asarray(stdtr(dof, -ratio))

    def predictions(self, draws: Floats, gaussian: Floats) -> tuple[Floats, Floats]:
        """Of contrasts in order, ``(n, draws)``, beyond their Gaussian evidence ``(n,)``, after 0, 1, … draws.

        Error of the prediction, and ``(u² + Σ v²)/(m + 1)``: ``(n, draws + 1)`` each.
        """
        innovations = solve_triangular(self.factor, draws.T, lower=True).T
        first = np.zeros((len(draws), 1))
        terms = np.cumsum(np.hstack([first, innovations * self.innovation_weights]), axis=1)
        squares = np.hstack([self.gaussian_size(gaussian)[:, None], innovations**2])
        return terms[:, -1:] - terms, np.cumsum(squares, axis=1) / np.arange(1, self.n_draws + 2)

    @cached_property
    def _draw_scale(self) -> Floats:
        """K in the order of the draws."""
        place = self.order * self.n_noises + self.noise_index
        return np.asarray(self._scale_by_level[np.ix_(place, place)])

    @cached_property
    def _scale_by_level(self) -> Floats:
        """K of all noises of the first level, then of the second, and so on: ``(draws, draws)``."""
        statistics, own = self.statistics, np.eye(self.n_noises)
        other = own[np.arange(self.n_noises) ^ 1] if in_pairs(self.n_noises) else np.zeros_like(own)
        scale = np.kron(statistics.scale, np.ones_like(own))
        scale += np.kron(np.diag(statistics.noise), own) + np.kron(np.diag(statistics.opposite), other)
        return np.asarray(scale + _JITTER * np.diag(scale).max() * np.eye(self.n_draws))
