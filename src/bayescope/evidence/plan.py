"""In which order to spend network passes, and what any number of them already tells of the full evidence.

A *draw* is one noise at one level under every class.  The noises are the same for every image, so what a draw says of the
average image is known from the held-out ones beforehand, and taken off.  Let y_i be the difference of two classes' denoising
evidence at draw i, and T = Σ_i t_i y_i what all draws together would say.  Over images the draws vary together: what one
level tells, its neighbours mostly repeat.  With K the scale matrix of y (Σ between levels, τ² for each draw's own noise, both
learned on held-out images), the best linear prediction of T from the first m draws (kriging) and its error are, with the
Cholesky factor K = L Lᵀ, the innovations v = L⁻¹y and z = L⁻¹K t::

    T_m = Σ_{i≤m} z_i v_i          s_m² = Σ_{i>m} z_i²

Images differ in how large all of their differences are, and in how noisy.  So the variance of T - T_m is
s_m² (α_m + β_m Σ_{i≤m} v_i²/m), with α and β fitted on held-out images (a multivariate t would prescribe them, but takes a
large signal for noise), and its tail that of a t whose degrees of freedom ν are fitted too.  An image's own draws set its
error bar.  This is a posterior given all draws so far; looking after every draw and stopping early does not void it.
"""

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.linalg import solve_triangular

from bayescope.shapes import Floats

_JITTER = 1e-9


@dataclass(frozen=True)
class LevelStatistics:
    """How the evidence of two classes differs over images.

    ``offset``: what each draw says of the average image, nats per unit of log σ, ``(classes, levels, noises)``; ``scale``:
    between levels, nats², ``(levels, levels)``; ``noise``: of a single draw at each level, nats², ``(levels,)``;
    ``dof``: ν, of the error's tail; ``spread``: α and β after each draw, ``(draws, 2)``; ``risk``: chances at which a class is
    dropped and the error rate of the answers that follows, both rising, ``(points, 2)``.
    """

    offset: Floats
    scale: Floats
    noise: Floats
    dof: float
    spread: Floats
    risk: Floats

    def share(self, error_rate: float) -> float:
        """The chance to win at which a class is dropped, such that answers err at ``error_rate``."""
        if error_rate == 0:
            return 0.0
        share, risk = np.log(self.risk.T)
        return float(np.exp(np.interp(np.log(error_rate), risk, share)))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return {name: np.asarray(value).tolist() for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`."""
        arrays = {name: np.array(values[name], dtype=float) for name in ("offset", "scale", "noise", "spread", "risk")}
        return cls(dof=float(values["dof"]), **arrays)


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

    @cached_property
    def common(self) -> Floats:
        """Full evidence of the average image, nats: ``(classes,)``."""
        return np.asarray(self.statistics.offset.mean(axis=2) @ self.weights)

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """Level of each draw, ``(draws,)``: each time the level that leaves least of T's variance unexplained."""
        scale, noise = self.statistics.scale.copy(), self.statistics.noise
        target = scale @ self.weights
        left = np.full(len(self.weights), self.n_noises)
        own = self.weights * noise / self.n_noises
        order = []
        for _ in range(self.n_draws):
            variance = np.diag(scale) + noise
            covariance = target + own
            gain = np.where(left > 0, covariance**2 / np.maximum(variance, np.finfo(float).tiny), -1.0)
            k = int(gain.argmax())
            order.append(k)
            left[k] -= 1
            target = target - scale[k] * covariance[k] / variance[k]
            scale = scale - np.outer(scale[k], scale[k]) / variance[k]
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
        """s_m² for m = 1 … draws, nats²: ``(draws,)``; the last is zero."""
        rest = np.cumsum(self.innovation_weights[::-1] ** 2)[::-1]
        return np.r_[rest[1:], 0.0]

    @cached_property
    def error_variance(self) -> Floats:
        """Expected squared error of T_m against the evidence of endless noise, nats², ``(draws,)``."""
        inverse = np.linalg.inv(self.factor)
        coefficients = np.cumsum(self.innovation_weights[:, None] * inverse, axis=0)
        latent = self.statistics.scale @ self.weights
        spread = np.einsum("mi,ij,mj->m", coefficients, self._draw_scale, coefficients)
        return np.asarray(spread - 2 * coefficients @ latent[self.order] + self.weights @ latent).clip(min=0.0)

    def innovation(self, m: int, draw: Floats, earlier: Floats) -> Floats:
        """v_m from draw m ``(n, classes)`` and the innovations before it ``(n, classes, m)``."""
        return np.asarray((draw - earlier @ self.factor[m, :m]) / self.factor[m, m])

    def common_variance(self, gradient: Floats) -> Floats:
        """Squared error, nats², that the noises leave in contrasts of all images alike; ``gradient (n, classes)``."""
        contrast = np.einsum("nc,ckj->nkj", gradient, self.statistics.offset)
        return np.asarray((contrast.var(axis=2, ddof=1) / self.n_noises) @ self.weights**2)

    def variance(self, m: int | NDArray[np.int64], size: Floats, base: Floats) -> Floats:
        """Of the prediction after ``m`` draws whose innovations' squares sum to ``size``, nats².

        ``base``: ``variance_left``, or ``error_variance`` for the evidence of endless noise.
        """
        level, slope = self.statistics.spread[m - 1].T
        return np.asarray(base[m - 1] * (level + slope * size / m))

    def standard_error(self, m: NDArray[np.int64], size: Floats, gradient: Floats) -> Floats:
        """Against the evidence of endless noise, nats, of contrasts ``gradient (n, classes)`` after ``m`` draws ``(n,)``."""
        norm = (gradient**2).sum(axis=1) / 2
        own = norm * self.variance(m, size / norm, self.error_variance)
        return np.sqrt(own + self.common_variance(gradient))

    def chance_to_win(self, m: int, gap: Floats, size: Floats) -> Floats:
        """Probability that the full evaluation turns ``gap`` (nats by which a class is behind after ``m`` draws) round."""
        dof = self.statistics.dof
        scale = np.sqrt(self.variance(m, size, self.variance_left) * (dof - 2) / dof)
        ratio = np.divide(gap, scale, out=np.full_like(gap, np.inf), where=scale > 0)
        return np.asarray(stats.t.sf(ratio, dof))

    def predictions(self, draws: Floats) -> tuple[Floats, Floats]:
        """Of contrasts ``(n, draws)`` in order: error of the prediction after each draw, and ``Σ v²/m``: ``(n, draws)``."""
        innovations = solve_triangular(self.factor, draws.T, lower=True).T
        terms = innovations * self.innovation_weights
        error = terms.sum(axis=1, keepdims=True) - np.cumsum(terms, axis=1)
        return error, np.cumsum(innovations**2, axis=1) / np.arange(1, self.n_draws + 1)

    @cached_property
    def _draw_scale(self) -> Floats:
        statistics = self.statistics
        between = statistics.scale[np.ix_(self.order, self.order)]
        noise = statistics.noise[self.order]
        return between + np.diag(noise + _JITTER * (noise + np.diag(between)).max())
