"""Solvers of dy/ds = f(s, y) for a batch whose rows are independent of each other.

Explicit Runge-Kutta methods by their Butcher tableaux (Hairer, Nørsett & Wanner 1993, II.1, II.4, II.5): ``heun`` and
``rk4`` take one step between neighbouring points of a grid; :class:`DormandPrince` 5(4) gives every row its own step
size and error control, and rows that have arrived are no longer evaluated.  States are carried in double precision.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from bayescope.errors import ConfigError

Field = Callable[[Tensor, Tensor, Tensor], Tensor]
"""``(s (m,), y (m, features), rows (m,) int64) -> dy/ds (m, features)``; ``rows``: which rows of the batch these are."""

Solver = Callable[[Field, Tensor, Tensor], "Solution"]
"""``(field, state (batch, features), grid (points,)) -> solution`` at ``grid[-1]`` from ``state`` at ``grid[0]``."""


@dataclass(frozen=True)
class Solution:
    """``state``: ``(batch, features)``, double; ``evaluations`` of the field spent on each row: ``(batch,)`` int64."""

    state: Tensor
    evaluations: Tensor


@dataclass(frozen=True)
class Tableau:
    """An explicit Runge-Kutta method: ``nodes`` c, ``matrix`` a (row i for stage i+1) and ``weights`` b."""

    nodes: tuple[float, ...]
    matrix: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]

    def stages(self, field: Field, s: Tensor, y: Tensor, step: Tensor, rows: Tensor, first: Tensor) -> list[Tensor]:
        """The slopes k_i of one ``step (m,)``, of which the ``first`` is known."""
        slopes = [first]
        for node, row in zip(self.nodes[1:], self.matrix, strict=True):
            slopes.append(field(s + node * step, y + step[:, None] * _combine(row, slopes), rows))
        return slopes


HEUN = Tableau((0.0, 1.0), ((1.0,),), (0.5, 0.5))
RK4 = Tableau((0.0, 0.5, 0.5, 1.0), ((0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6))
DORMAND_PRINCE = Tableau(
    nodes=(0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
    matrix=(
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    ),
    weights=(35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0.0),
)
# Weights of the fifth-order answer less those of the embedded fourth-order one.
_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)

_ORDER = 5
_SAFETY, _SMALLEST_FACTOR, _LARGEST_FACTOR = 0.9, 0.2, 10.0
_SMALLEST_STEP = 1e-12  # of the whole way


@dataclass(frozen=True)
class FixedGrid:
    """One step of a method between neighbouring points of the grid."""

    tableau: Tableau

    def __call__(self, field: Field, state: Tensor, grid: Tensor) -> Solution:
        """Raises ConfigError if the grid has fewer than two points or is not strictly monotone."""
        _check(grid)
        y = state.double()
        rows = torch.arange(len(y), device=y.device)
        points = grid.double().tolist()
        for start, stop in pairwise(points):
            s, step = torch.full_like(y[:, 0], start), torch.full_like(y[:, 0], stop - start)
            slopes = self.tableau.stages(field, s, y, step, rows, field(s, y, rows))
            y = y + step[:, None] * _combine(self.tableau.weights, slopes)
        return Solution(y, torch.full_like(rows, (len(points) - 1) * len(self.tableau.nodes)))


heun = FixedGrid(HEUN)
rk4 = FixedGrid(RK4)


@dataclass(frozen=True)
class DormandPrince:
    """Adaptive Dormand-Prince 5(4).  Of the grid only the ends count.

    A step is taken if no feature's local error exceeds ``tolerance (1 + |y|)``: the largest, not the mean, so that
    a few features among many are not drowned.  No step is longer than ``max_step``: without a bound, a step grown where
    the field is constant jumps over what is narrow.  A row that needs more than ``max_steps`` trial steps, or meets a
    slope that is not finite, ends as NaN and leaves the others alone.
    """

    tolerance: float = 1e-3
    max_step: float = math.inf
    max_steps: int = 1000

    def __post_init__(self) -> None:
        if not 0 < self.tolerance < 1:
            raise ConfigError(f"solver tolerance {self.tolerance}; expected more than 0 and less than 1")
        if not self.max_step > 0 or self.max_steps < 1:
            raise ConfigError(
                f"solver max_step {self.max_step}, max_steps {self.max_steps}; expected more than 0 and at least 1"
            )

    def __call__(self, field: Field, state: Tensor, grid: Tensor) -> Solution:
        """Raises ConfigError if the grid has fewer than two points or is not strictly monotone."""
        _check(grid)
        start, stop = grid[[0, -1]].double().tolist()
        y = state.double().clone()
        s = torch.full_like(y[:, 0], start)
        rows = torch.arange(len(y), device=y.device)
        slope = field(s, y, rows)
        step = self._bound(self._first_step(field, s, y, slope, stop - start))
        evaluations = torch.full_like(rows, 2)
        arrived = torch.zeros_like(rows, dtype=torch.bool)
        for _ in range(self.max_steps):
            # A NaN step fails this comparison too.
            rows = rows[~arrived[rows] & (step[rows].abs() > _SMALLEST_STEP * abs(stop - start))]
            if not len(rows):
                break
            here, remaining = y[rows], stop - s[rows]
            last = step[rows].abs() >= remaining.abs()
            trial = torch.where(last, remaining, step[rows])
            slopes = DORMAND_PRINCE.stages(field, s[rows], here, trial, rows, slope[rows])
            there = here + trial[:, None] * _combine(DORMAND_PRINCE.weights, slopes)
            size = torch.maximum(here.abs(), there.abs())
            error = self._norm(trial[:, None] * _combine(_ERROR, slopes), size).nan_to_num(nan=torch.inf)
            taken = error <= 1
            moved = rows[taken]
            s[moved], y[moved], slope[moved] = (s[rows] + trial)[taken], there[taken], slopes[-1][taken]
            arrived[moved] = last[taken]
            growth = _SAFETY * error.clamp_min(1e-10) ** (-1 / _ORDER)
            step[rows] = self._bound(trial * growth.clamp(_SMALLEST_FACTOR, _LARGEST_FACTOR))
            evaluations[rows] += len(slopes) - 1
        y[~arrived] = torch.nan
        return Solution(y, evaluations)

    def _bound(self, step: Tensor) -> Tensor:
        return step.clamp(-self.max_step, self.max_step)

    def _norm(self, error: Tensor, size: Tensor) -> Tensor:
        """Largest error in units of what is allowed: ``(m,)``."""
        return (error / (self.tolerance * (1 + size))).abs().amax(dim=1)

    def _first_step(self, field: Field, s: Tensor, y: Tensor, slope: Tensor, way: float) -> Tensor:
        """Hairer, Nørsett & Wanner's guess (II.4), for each row: ``(batch,)``, signed.  Takes one evaluation."""
        size = y.abs()
        value, speed = self._norm(y, size), self._norm(slope, size)
        probe = torch.where((value < 1e-5) | (speed < 1e-5), 1e-6, 0.01 * value / speed).clamp_max(abs(way))
        probe = torch.copysign(probe, torch.full_like(probe, way))
        ahead = field(s + probe, y + probe[:, None] * slope, torch.arange(len(y), device=y.device))
        bend = self._norm(ahead - slope, size) / probe.abs()
        guess = (0.01 / torch.maximum(speed, bend).clamp_min(1e-15)) ** (1 / _ORDER)
        return torch.copysign(torch.minimum(100 * probe.abs(), guess), probe)


def _combine(weights: tuple[float, ...], slopes: list[Tensor]) -> Tensor:
    return sum((b * k for b, k in zip(weights, slopes, strict=True) if b), start=torch.zeros_like(slopes[0]))


def _check(grid: Tensor) -> None:
    steps = grid.diff()
    if grid.ndim != 1 or len(grid) < 2 or not (bool((steps > 0).all()) or bool((steps < 0).all())):
        raise ConfigError(f"solver grid {grid.tolist()}; expected two or more points, strictly rising or falling")
