"""The stopping rule of sequential scoring: which classes of an image remain candidates after each draw.

Round m takes draw m of the plan for every image that is not yet decided, under its remaining classes. A class is dropped,
before the first draw or after any, once the probability that the full evaluation would still make it the winner is at most
``share``; an image stops when one class is left.

The disagreement rate is that of all predictions together, so ``share`` may exceed it: most classes that are dropped
are far less probable.  Simulated on held-out images, whose draws are all known, the rule gives the disagreement rate of any
share (:func:`risk_curve`), and the share that brings the rate asked for is taken.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayescope.evidence.plan import Plan
from bayescope.evidence.rowwise import weighted_sum
from bayescope.types import Floats, Labels

_PRIOR_ERRORS = 5.0
_FEWEST_DRAWS = 3

Draw = Callable[[int, int, Labels, Labels], Floats]
"""Level, noise, images and their classes ``(rows,)`` to the denoising evidence of each, nats per unit of log σ ``(rows,)``."""


@dataclass(frozen=True)
class Trace:
    """What was drawn of each image until it stopped.

    ``gaussian``: Gaussian evidence, nats, ``(n, classes)``; ``innovations``: ``(n, classes, draws)``, zero where none was
    taken; ``draws``: how many each class was given, ``(n, classes)``; ``chance``: that the class would have won after all, when
    it was dropped, ``(n, classes)``.
    """

    gaussian: Floats
    innovations: Floats
    draws: NDArray[np.int64]
    chance: Floats

    def values(self, plan: Plan) -> Floats:
        """Evidence so far, nats up to a constant common to the classes: ``(n, classes)``.

        Each class against the class drawn most, compared at the draws that both were given; that class at all of its own.
        """
        last = self.draws.argmax(axis=1)
        terms = self.innovations * plan.innovation_weights
        longest = terms[np.arange(len(last)), last]
        shared = np.arange(plan.n_draws) < self.draws[:, :, None]
        behind = ((longest[:, None] - terms) * shared).sum(axis=2)
        return np.asarray(plan.start(self.gaussian) - behind)


def simulate(
    plan: Plan,
    gaussian: Floats,
    draw: Draw,
    offset: Floats,
    share: float,
    max_passes: int | None = None,
    callback: Callable[[int], None] = lambda images: None,
    watch: Callable[[Trace], None] = lambda trace: None,
) -> Trace:
    """Draw for images of Gaussian evidence ``(n, classes)`` until each is settled.

    ``offset (classes,)`` is added before classes are compared.  The two classes ahead are drawn at least three times: fewer
    would settle many winners and leave their ratio vague.  No image is given more than ``max_passes``: when they run short, the
    classes least likely to win go first.  ``callback`` is called with the number of images decided in each round, ``watch``
    after each with what was drawn so far, which the next round changes.
    """
    n, n_classes = gaussian.shape
    innovations = np.zeros((n, n_classes, plan.n_draws))
    draws = np.zeros((n, n_classes), dtype=np.int64)
    chance = np.zeros((n, n_classes))
    live = np.ones((n, n_classes), dtype=bool)
    for m in range(plan.n_draws + 1):
        opened = live.any(axis=1)
        left, order = _chance(plan, m, gaussian[opened], innovations[opened, :, :m], offset, live[opened])
        chance[opened] = np.where(live[opened], left, chance[opened])
        kept = live[opened] & ((m < plan.n_draws) if share == 0 else (left > share))
        surely = order[:, : 1 if m >= _FEWEST_DRAWS else 2]
        np.put_along_axis(kept, surely, np.take_along_axis(live[opened], surely, axis=1), axis=1)
        if max_passes is not None:
            kept = _affordable(kept, order, max_passes - draws[opened].sum(axis=1))
        kept &= (kept.sum(axis=1) > 1)[:, None] & (m < plan.n_draws)
        callback(int((~kept.any(axis=1)).sum()))
        live[opened] = kept
        if not live.any():
            break
        level, j = int(plan.order[m]), int(plan.noise_index[m])
        image, label = np.nonzero(live)
        found = np.zeros((n, n_classes))
        found[image, label] = draw(level, j, image, label) - plan.statistics.expected(level, j, label, gaussian[image, label])
        opened = live.any(axis=1)
        draws[live] += 1
        innovations[opened, :, m] = plan.innovation(m, found[opened], innovations[opened, :, :m])
        innovations[~live, m] = 0.0
        watch(Trace(gaussian, innovations, draws, chance))
    return Trace(gaussian, innovations, draws, chance)


def _affordable(kept: NDArray[np.bool_], order: Labels, passes_left: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The foremost of the classes ``kept (n, classes)`` that one more draw each leaves within ``passes_left (n,)``."""
    foremost = np.take_along_axis(kept, order, axis=1)
    foremost &= np.cumsum(foremost, axis=1) <= passes_left[:, None]
    chosen = np.zeros_like(kept)
    np.put_along_axis(chosen, order, foremost, axis=1)
    return chosen


def _chance(
    plan: Plan, m: int, gaussian: Floats, innovations: Floats, offset: Floats, live: NDArray[np.bool_]
) -> tuple[Floats, Labels]:
    """That each class wins in full after all, 0 for the leader, and the live classes first and in falling order.

    Both ``(n, classes)``.
    """
    evidence = plan.start(gaussian) + weighted_sum(innovations, plan.innovation_weights[:m]) + offset
    order = np.argsort(np.where(live, -evidence, np.inf), axis=1)
    rows, leader = np.arange(len(evidence)), order[:, 0]
    gap = evidence[rows, leader][:, None] - evidence
    spread = ((innovations[rows, leader][:, None] - innovations) ** 2).sum(axis=2)
    size = spread + plan.gaussian_size(gaussian[rows, leader][:, None] - gaussian)
    chance = plan.chance_to_win(m, gap, size)
    chance[rows, leader] = 0.0
    return chance, order


def risk_curve(
    plan: Plan, gaussian: Floats, values: Floats, offset: Floats, winner: Labels, weight: Floats, shares: Floats
) -> Floats:
    """Disagreement rate of the predictions of held-out images at each share: ``(shares,)``, rising.

    ``gaussian``: Gaussian evidence, ``(n, classes)``; ``values``: every draw, nats per unit of log σ,
    ``(n, classes, levels, noises)``; ``winner``: of the full evaluation, ``(n,)``; ``weight``: of the images, ``(n,)``, mean
    one.  The mean predicted chance gives the curve's shape, the errors counted over all shares its height; a few errors as
    predicted are added as pseudo-counts, so that a small set cannot move it far.
    """

    def known(level: int, j: int, image: Labels, label: Labels) -> Floats:
        return np.asarray(values[image, label, level, j])

    traces = [simulate(plan, gaussian, known, offset, share) for share in shares]
    predicted = np.array([weight @ trace.chance.sum(axis=1) for trace in traces])
    counted = np.array([weight @ ((trace.values(plan) + offset).argmax(axis=1) != winner) for trace in traces])
    height = (_PRIOR_ERRORS + counted.mean()) / (_PRIOR_ERRORS + predicted.mean())
    return np.maximum.accumulate(height * predicted / len(values))
