"""Decisions in a handful of passes: spend noise where it tells most, stop when the winner is settled.

All images start open under all classes.  Round m takes draw m of the plan for every open image under its live classes,
re-packed into full batches.  A class is dropped once the probability that the full evaluation would still make it the
winner is at most its share of the error rate; an image stops when one class is left.  With C classes a share is
error_rate / (C - 1), so by the union bound an answer differs from the full evaluation's with probability at most error_rate.

An image's passes depend on its own draws alone, so its answer does not depend on its batch-mates.  Memory grows with the
chunk, not with the number of images.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bayescope.denoiser import LevelDenoiser
from bayescope.errors import ConfigError
from bayescope.evidence.bound import SupportsLevels, draw_errors
from bayescope.evidence.plan import Plan
from bayescope.shapes import Floats

_CHUNK = 1024


@dataclass(frozen=True)
class SequentialEvidence:
    """Evidence so far of each image when it stopped.

    ``values``: nats up to a constant common to the classes, ``(n, classes)``; ``innovations``: ``(n, classes, draws)``, zero
    where none was taken; ``draws``: how many each class was given, ``(n, classes)``.
    """

    plan: Plan
    values: Floats
    innovations: Floats
    draws: NDArray[np.int64]

    @property
    def passes(self) -> NDArray[np.int64]:
        """Network passes spent per image: ``(n,)``."""
        return np.asarray(self.draws.sum(axis=1))

    def standard_error(self, gradient: Floats) -> Floats:
        """Of the contrasts ``Σ_c gradient[:, c] values[:, c]``, nats: ``(n,)``; ``gradient (n, classes)`` sums to zero.

        Against the evidence of endless noise at these levels.  NaN if the levels were drawn once only.
        """
        if self.plan.n_noises < 2:
            return np.full(len(gradient), np.nan)
        contrast = np.einsum("nc,ncm->nm", gradient, self.innovations)
        taken = np.where(gradient != 0, self.draws, self.plan.n_draws).min(axis=1)
        within = np.arange(self.plan.n_draws) < taken[:, None]
        return self.plan.standard_error(taken, (contrast**2 * within).sum(axis=1), gradient)


def check_knobs(error_rate: float, max_passes: int | None, n_classes: int) -> None:
    """Raise ConfigError if the stopping rule is asked for the impossible."""
    if not 0 <= error_rate < 1:
        raise ConfigError(f"error_rate {error_rate}; expected at least 0 (weigh in full) and below 1, e.g. 0.01")
    if max_passes is not None and max_passes < n_classes:
        raise ConfigError(f"max_passes {max_passes}; expected at least {n_classes}, one pass for each class")


@torch.inference_mode()
def weigh_sequentially(
    denoiser: SupportsLevels,
    x: Tensor,
    sigmas: Floats,
    noise: Tensor,
    plan: Plan,
    offset: Floats,
    error_rate: float,
    max_passes: int | None = None,
    batch_size: int = 256,
    callback: Callable[[int], None] = lambda images: None,
) -> SequentialEvidence:
    """Weigh images ``x (n, c, h, w)`` until each is settled.

    ``noise``: ``(levels, noises, c, h, w)``; ``offset``: what is added to the evidence before classes are compared (class bias
    and log prior), ``(classes,)``; ``max_passes``: no image is given more; ``batch_size``: rows (images times classes) per
    network call.  Raises ConfigError for an error rate outside [0, 1) or fewer passes than classes.
    """
    check_knobs(error_rate, max_passes, len(offset))
    levels = [denoiser.at_level(float(sigma)) for sigma in sigmas]
    share = error_rate / (len(offset) - 1)
    chunks = [
        _weigh_chunk(levels, chunk, sigmas, noise, plan, offset, share, max_passes, batch_size, callback)
        for chunk in x.split(_CHUNK)
    ]
    values, innovations, draws = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
    return SequentialEvidence(plan, values, innovations, draws)


def _weigh_chunk(
    levels: list[LevelDenoiser],
    x: Tensor,
    sigmas: Floats,
    noise: Tensor,
    plan: Plan,
    offset: Floats,
    share: float,
    max_passes: int | None,
    batch_size: int,
    callback: Callable[[int], None],
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    n, n_classes = len(x), len(offset)
    innovations = np.zeros((n, n_classes, plan.n_draws))
    draws = np.zeros((n, n_classes), dtype=np.int64)
    live = np.ones((n, n_classes), dtype=bool)
    for m, (level, j) in enumerate(zip(plan.order, plan.noise_index, strict=True)):
        image, label = np.nonzero(live)
        rows = draw_errors(levels[level], x, float(sigmas[level]), noise[level, j], image, label, batch_size)
        draw = np.zeros((n, n_classes))
        draw[image, label] = rows - plan.statistics.offset[label, level, j]
        opened = live.any(axis=1)
        draws[live] += 1
        innovations[opened, :, m] = plan.innovation(m, draw[opened], innovations[opened, :, :m])
        innovations[~live, m] = 0.0
        evidence = innovations[opened, :, : m + 1] @ plan.innovation_weights[: m + 1] + plan.common + offset
        kept = _still_possible(plan, m + 1, evidence, innovations[opened, :, : m + 1], live[opened], share)
        if max_passes is not None:
            kept &= (draws[opened].sum(axis=1) + kept.sum(axis=1) <= max_passes)[:, None]
        kept &= (kept.sum(axis=1) > 1)[:, None]
        callback(int((~kept.any(axis=1)).sum()))
        live[opened] = kept
        if not live.any():
            break
    else:
        callback(int(live.any(axis=1).sum()))
    return _values(plan, innovations, draws), innovations, draws


def _still_possible(
    plan: Plan, m: int, evidence: Floats, innovations: Floats, live: NDArray[np.bool_], share: float
) -> NDArray[np.bool_]:
    """Which live classes ``(n, classes)`` may still win, the leader among them."""
    leader = np.where(live, evidence, -np.inf).argmax(axis=1)
    rows = np.arange(len(evidence))
    gap = evidence[rows, leader][:, None] - evidence
    spread = ((innovations[rows, leader][:, None] - innovations) ** 2).sum(axis=2)
    undecided = m < plan.n_draws if share == 0 else plan.chance_to_win(m, gap, spread) > share
    possible = live & undecided
    possible[rows, leader] = True
    return np.asarray(possible)


def _values(plan: Plan, innovations: Floats, draws: NDArray[np.int64]) -> Floats:
    """Each class against the class drawn most, compared at the draws that both were given; that class at all of its own."""
    last = draws.argmax(axis=1)
    rows = np.arange(len(draws))
    terms = innovations * plan.innovation_weights
    longest = terms[rows, last]
    common = np.arange(plan.n_draws) < draws[:, :, None]
    behind = ((longest[:, None] - terms) * common).sum(axis=2)
    return np.asarray(plan.common - behind)
