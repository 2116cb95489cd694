"""Sequential scoring: network passes in the most informative order, stopped when the predicted class is determined.

All images start with all classes as candidates.  Each round takes one draw of the plan for every image that is not yet
decided, under its remaining classes, packed into full batches.  :mod:`bayescope.evidence.stopping` drops classes so that
predictions differ from the full evaluation's at the disagreement rate requested.

The passes of an image depend on its own draws alone, so its prediction does not depend on the other images of a batch.  The
network's memory is that of a batch; for each image, classes times draws numbers are stored.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bayescope.errors import ConfigError
from bayescope.evidence.denoising import check_scoring, gaussian_evidence
from bayescope.evidence.denoising_errors import SupportsLevels, draw_errors
from bayescope.evidence.plan import Plan
from bayescope.evidence.rowwise import weighted_sums
from bayescope.evidence.stopping import Trace, simulate
from bayescope.types import Floats, Labels

_CHUNK = 1024


@dataclass(frozen=True)
class SequentialEvidence:
    """Evidence of each image when scoring stopped.

    Parameters
    ----------
    plan : Plan
        The order of network passes.
    gaussian : ndarray of shape (n, classes)
        Evidence without the network, in nats.
    values : ndarray of shape (n, classes)
        Predicted full evidence, in nats up to a constant common to the classes.
    innovations : ndarray of shape (n, classes, draws)
        Innovation of each draw; zero where none was taken.
    draws : ndarray of shape (n, classes)
        Number of draws of each class.
    """

    plan: Plan
    gaussian: Floats
    values: Floats
    innovations: Floats
    draws: NDArray[np.int64]

    @classmethod
    def of(cls, plan: Plan, trace: Trace) -> Self:
        """Evidence of what was drawn.

        Parameters
        ----------
        plan : Plan
            The order of network passes.
        trace : Trace
            What was drawn.

        Returns
        -------
        SequentialEvidence
            Evidence so far.
        """
        return cls(plan, trace.gaussian, trace.values(plan), trace.innovations, trace.draws)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """That of all the parts' images, scored by one plan."""
        fields = [(part.gaussian, part.values, part.innovations, part.draws) for part in parts]
        return cls(parts[0].plan, *(np.concatenate(field) for field in zip(*fields, strict=True)))

    def first_noise(self, label: Labels) -> Floats:
        """At every level's first noise under one class per image, ``label (n,)``: ``(n, levels)``; NaN where not scored."""
        plan, images = self.plan, np.arange(len(label))
        draws = weighted_sums(self.innovations[images, label], plan.factor)
        gaussian = self.gaussian[images, label][:, None]
        draws += plan.statistics.expected(plan.order, plan.noise_index, label[:, None], gaussian)
        taken = np.arange(plan.n_draws) < self.draws[images, label][:, None]
        first = np.flatnonzero(plan.noise_index == 0)
        values = np.full((len(label), len(plan.weights)), np.nan)
        values[:, plan.order[first]] = np.where(taken, draws, np.nan)[:, first]
        return values

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
        return self.plan.standard_error(taken, (contrast**2 * within).sum(axis=1), gradient, self.gaussian)


def check_stopping_settings(disagreement_rate: float, max_passes: int | None, n_classes: int) -> None:
    """Check the settings of the stopping rule.

    Parameters
    ----------
    disagreement_rate : float
        Share of predictions that may differ from the full evaluation's.
    max_passes : int or None
        Largest number of network passes per image.
    n_classes : int
        Number of classes.

    Raises
    ------
    ConfigError
        If they are out of range.
    """
    if not 0 <= disagreement_rate < 1:
        raise ConfigError(f"disagreement_rate {disagreement_rate}; expected at least 0 (score in full) and below 1, e.g. 0.01")
    if max_passes is not None and max_passes < n_classes:
        raise ConfigError(f"max_passes {max_passes}; expected at least {n_classes}, one pass for each class")


@torch.inference_mode()
def score_sequentially(
    denoiser: SupportsLevels,
    x: Tensor,
    sigmas: Floats,
    noise: Tensor,
    plan: Plan,
    offset: Floats,
    disagreement_rate: float,
    max_passes: int | None = None,
    batch_size: int | None = None,
    callback: Callable[[int], None] = lambda images: None,
    watch: Callable[[SequentialEvidence, int], None] | None = None,
) -> SequentialEvidence:
    """Score images until the predicted class is determined.

    Parameters
    ----------
    denoiser : SupportsLevels
        The denoiser.
    x : Tensor of shape (n, channel, height, width)
        Images in model units.
    sigmas : ndarray of shape (levels,)
        Noise levels.
    noise : Tensor of shape (levels, noises, channel, height, width)
        Noises, the same for all images.
    plan : Plan
        The order of network passes.
    offset : ndarray of shape (classes,)
        Added to the evidence before classes are compared: class bias and log prior, in nats.
    disagreement_rate : float
        Share of predictions that may differ from the full evaluation's.
    max_passes : int, optional
        Largest number of network passes per image.
    batch_size : int, optional
        Rows (images times classes) per network call (default: as many as memory bounds allow).
    callback : callable, optional
        Called with the number of images decided in each round.
    watch : callable, optional
        Called after each round with the evidence so far of the images scored together, at most 1024, and the index of the
        first of them.

    Returns
    -------
    SequentialEvidence
        Evidence of the images.

    Raises
    ------
    ConfigError
        For a disagreement rate outside [0, 1), fewer passes than classes, or arguments that
        :func:`bayescope.evidence.denoising.level_evidence` refuses.
    """
    check_stopping_settings(disagreement_rate, max_passes, len(offset))
    check_scoring(denoiser.n_classes, sigmas, noise, batch_size)
    levels = [denoiser.at_level(float(sigma)) for sigma in sigmas]
    share = plan.statistics.share(disagreement_rate)

    def score(chunk: Tensor, first: int) -> SequentialEvidence:
        def draw(level: int, j: int, image: Labels, label: Labels) -> Floats:
            return draw_errors(levels[level], chunk, float(sigmas[level]), noise[level, j], image, label, batch_size)

        gaussian = gaussian_evidence(denoiser, chunk, sigmas)
        seen = (lambda trace: watch(SequentialEvidence.of(plan, trace), first)) if watch else lambda trace: None
        return SequentialEvidence.of(plan, simulate(plan, gaussian, draw, offset, share, max_passes, callback, seen))

    return SequentialEvidence.joined([score(chunk, i * _CHUNK) for i, chunk in enumerate(x.split(_CHUNK))])
