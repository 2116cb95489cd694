"""The stopping rule: which classes of an image stay open after each draw, whatever gives the draws.

Round m takes draw m of the plan for every open image under its live classes.  A class is dropped, before the first draw or
after any, once the probability that the full evaluation would still make it the winner is at most ``share``; an image stops
when one class is left.

What is asked for is the error rate of all answers together, so ``share`` may exceed it: most classes that are dropped could
win far less often.  Played on held-out images, whose draws are all known, the rule tells what
error rate any share brings (:func:`risk_curve`), and the share that brings the rate asked for is taken.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayescope.evidence.plan import Plan
from bayescope.shapes import Floats, Labels

_PRIOR_ERRORS = 5.0

Draw = Callable[[int, int, Labels, Labels], Floats]
"""Level, noise, images and their classes ``(rows,)`` to the denoising evidence of each, nats per unit of log σ ``(rows,)``."""


@dataclass(frozen=True)
class Course:
    """What was drawn of each image until it stopped.

    ``free``: free evidence, nats, ``(n, classes)``; ``innovations``: ``(n, classes, draws)``, zero where none was taken;
    ``draws``: how many each class was given, ``(n, classes)``; ``chance``: that the class would have won after all, when it was
    dropped, ``(n, classes)``.
    """

    free: Floats
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
        return np.asarray(plan.start(self.free) - behind)


def play(
    plan: Plan,
    free: Floats,
    draw: Draw,
    offset: Floats,
    share: float,
    max_passes: int | None = None,
    callback: Callable[[int], None] = lambda images: None,
) -> Course:
    """Draw for images of free evidence ``(n, classes)`` until each is settled.

    ``offset (classes,)`` is added before classes are compared.  The two classes ahead by the free evidence are drawn at least
    once.  No image is given more than ``max_passes``; ``callback`` hears how many images each round settled.
    """
    n, n_classes = free.shape
    innovations = np.zeros((n, n_classes, plan.n_draws))
    draws = np.zeros((n, n_classes), dtype=np.int64)
    live, chance = _open_at_first(plan, free, offset, share)
    for m, (level, j) in enumerate(zip(plan.order, plan.noise_index, strict=True)):
        image, label = np.nonzero(live)
        found = np.zeros((n, n_classes))
        found[image, label] = draw(level, j, image, label) - plan.statistics.expected(level, j, label, free[image, label])
        opened = live.any(axis=1)
        draws[live] += 1
        innovations[opened, :, m] = plan.innovation(m, found[opened], innovations[opened, :, :m])
        innovations[~live, m] = 0.0
        left, leader = _chance(plan, m + 1, free[opened], innovations[opened, :, : m + 1], offset, live[opened])
        chance[opened] = np.where(live[opened], left, chance[opened])
        kept = live[opened] & ((m + 1 < plan.n_draws) if share == 0 else (left > share))
        kept[np.arange(len(leader)), leader] = True
        if max_passes is not None:
            kept &= (draws[opened].sum(axis=1) + kept.sum(axis=1) <= max_passes)[:, None]
        kept &= (kept.sum(axis=1) > 1)[:, None]
        callback(int((~kept.any(axis=1)).sum()))
        live[opened] = kept
        if not live.any():
            break
    else:
        callback(int(live.any(axis=1).sum()))
    return Course(free, innovations, draws, chance)


def _open_at_first(plan: Plan, free: Floats, offset: Floats, share: float) -> tuple[NDArray[np.bool_], Floats]:
    """Classes worth a draw, ``(n, classes)``, and each class's chance to win."""
    everything = np.ones(free.shape, dtype=bool)
    chance, _ = _chance(plan, 0, free, np.zeros((*free.shape, 0)), offset, everything)
    if share == 0:
        return everything, chance
    ahead = np.argsort(plan.start(free) + offset, axis=1)[:, -2:]
    live = chance > share
    np.put_along_axis(live, ahead, True, axis=1)
    return live, chance


def _chance(
    plan: Plan, m: int, free: Floats, innovations: Floats, offset: Floats, live: NDArray[np.bool_]
) -> tuple[Floats, Labels]:
    """That each class ``(n, classes)`` wins in full after all, and who leads now, ``(n,)``; its own chance is put at 0."""
    evidence = plan.start(free) + innovations @ plan.innovation_weights[:m] + offset
    leader = np.where(live, evidence, -np.inf).argmax(axis=1)
    rows = np.arange(len(evidence))
    gap = evidence[rows, leader][:, None] - evidence
    spread = ((innovations[rows, leader][:, None] - innovations) ** 2).sum(axis=2)
    size = spread + plan.free_size(free[rows, leader][:, None] - free)
    chance = plan.chance_to_win(m, gap, size)
    chance[rows, leader] = 0.0
    return chance, leader


def risk_curve(
    plan: Plan, free: Floats, values: Floats, offset: Floats, winner: Labels, weight: Floats, shares: Floats
) -> Floats:
    """Error rate of the answers to held-out images at each share: ``(shares,)``, rising.

    ``free``: free evidence, ``(n, classes)``; ``values``: every draw, nats per unit of log σ,
    ``(n, classes, levels, noises)``; ``winner``: of the full evaluation, ``(n,)``; ``weight``: of the images, ``(n,)``, mean
    one.  The mean predicted chance gives the curve's shape, the errors counted over all shares its height; a few errors as
    predicted are counted beside, lest a small set move it far.
    """

    def known(level: int, j: int, image: Labels, label: Labels) -> Floats:
        return np.asarray(values[image, label, level, j])

    courses = [play(plan, free, known, offset, share) for share in shares]
    predicted = np.array([weight @ course.chance.sum(axis=1) for course in courses])
    counted = np.array([weight @ ((course.values(plan) + offset).argmax(axis=1) != winner) for course in courses])
    height = (_PRIOR_ERRORS + counted.mean()) / (_PRIOR_ERRORS + predicted.mean())
    return np.maximum.accumulate(height * predicted / len(values))
