"""The likelihood classifier as Bayes' rule: a trained denoiser, how to weigh with it, and what an image is told.

log p(y|x) = log p(x|y) + log p(y) - log Σ_y' p(x|y') p(y')
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax
from torch import Tensor

from bayescope.calibration import Weighing, choose_weighing, log_likelihood_ratio
from bayescope.config import Config
from bayescope.data.images import ImageSet, PixelScale
from bayescope.denoiser import Denoiser
from bayescope.errors import ConfigError, DataError
from bayescope.evidence.bound import LevelEvidence, draw_noise, level_evidence
from bayescope.evidence.plan import LevelStatistics, Plan
from bayescope.evidence.sample import sample
from bayescope.evidence.sequential import check_knobs, weigh_sequentially
from bayescope.level_statistics import fit_level_statistics
from bayescope.noise import log_spaced
from bayescope.shapes import Floats, Pixels

_PRIOR_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Answers:
    """What is said of ``n`` images.

    ``evidence``: log-likelihood per class, nats up to a constant common to the classes, ``(n, classes)``;
    ``log_posterior``: ``(n, classes)``; ``log_likelihood_ratio`` of each class against the rest and its Monte Carlo
    ``standard_error``, nats, ``(n, classes)``; ``passes``: network passes spent on each image, ``(n,)``.
    """

    evidence: Floats
    log_posterior: Floats
    log_likelihood_ratio: Floats
    standard_error: Floats
    passes: NDArray[np.int64]

    @property
    def mean_passes(self) -> float:
        """Network passes per image on average."""
        return float(self.passes.mean())

    @property
    def posterior(self) -> Floats:
        """Probability of each class, ``(n, classes)``, rows sum to one."""
        return np.exp(self.log_posterior)


@dataclass(frozen=True)
class LikelihoodModel:
    """A denoiser in its final weights with everything needed to weigh stored pixels."""

    config: Config
    denoiser: Denoiser
    scale: PixelScale
    class_names: tuple[str, ...]
    class_prior: Floats
    weighing: Weighing
    statistics: LevelStatistics | None = None
    """How evidence varies over levels, noises and images; None if there were too few held-out images to tell."""

    @cached_property
    def plan(self) -> Plan | None:
        """In which order to spend passes."""
        return None if self.statistics is None else Plan(self.statistics, self.weighing.weights)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.denoiser.image_shape

    def level_evidence(
        self, pixels: Pixels, callback: Callable[[int], None] = lambda images: None, batch_size: int = 128
    ) -> LevelEvidence:
        """Evidence per level of stored pixels ``(n, channel, height, width)``.

        Raises DataError if the images are of another shape than the model's, or not finite.
        """
        x = self.checked(pixels)
        sigmas, noise = self._draws()
        return level_evidence(self.denoiser, x, sigmas, noise, batch_size, callback)

    def classify(
        self,
        pixels: Pixels,
        class_prior: Sequence[float] | Floats | None = None,
        error_rate: float | None = None,
        max_passes: int | None = None,
        callback: Callable[[int], None] = lambda images: None,
    ) -> Answers:
        """Weigh stored pixels until each image is settled, and apply Bayes' rule.

        ``error_rate``: how often an answer may differ from the full evaluation's, 0 to weigh in full; ``max_passes`` per image;
        both default to the configuration.  Without statistics of held-out images every image is weighed in full.
        Raises DataError for images that do not fit the model; ConfigError for an impossible prior, rate or budget.
        """
        settings = self.config.evidence
        error_rate = settings.error_rate if error_rate is None else error_rate
        max_passes = settings.max_passes if max_passes is None else max_passes
        check_knobs(error_rate, max_passes, len(self.class_names))
        if self.plan is None and max_passes is not None:
            raise ConfigError(
                f"max_passes {max_passes}; this model cannot stop early, for it was fitted on too few validation images. "
                "Train it with at least 16 validation images, or leave max_passes out"
            )
        prior = self._prior(class_prior)
        if self.plan is None or (error_rate == 0 and max_passes is None):
            return self.answer(self.level_evidence(pixels, callback), prior)
        offset = self.weighing.class_bias + np.log(prior)
        sigmas, noise = self._draws()
        found = weigh_sequentially(
            self.denoiser, self.checked(pixels), sigmas, noise, self.plan, offset, error_rate, max_passes, callback=callback
        )
        return _answers(found.values + self.weighing.class_bias, prior, found.standard_error, found.passes)

    def calibrated(self, held_out: ImageSet, callback: Callable[[int], None] = lambda images: None) -> "LikelihoodModel":
        """The same model with the level weights its configuration asks for, chosen on held-out images."""
        levels = self.level_evidence(held_out.pixels, callback)
        weighing = choose_weighing(self.config.evidence, levels, held_out.labels)
        return replace(self, weighing=weighing, statistics=fit_level_statistics(levels, held_out.labels, weighing))

    def answer(self, levels: LevelEvidence, class_prior: Sequence[float] | Floats | None = None) -> Answers:
        """Bayes' rule with ``class_prior`` (default: the model's own).  Raises ConfigError if it is no distribution."""
        passes = np.full(len(levels.values), levels.passes)
        error = partial(self.weighing.standard_error, levels)
        return _answers(self.weighing.evidence(levels), self._prior(class_prior), error, passes)

    def sample(self, per_class: int, steps: int = 24, seed: int = 0) -> Floats:
        """Images drawn from every class, in the model's scale: ``(classes, per_class, channel, height, width)``.

        The i-th image of every class starts from the same noise.
        """
        rows = []
        for k in range(len(self.class_names)):
            rows.append(sample(self.denoiser, torch.full((per_class,), k), steps, seed).float().cpu().numpy())
        return np.stack(rows)

    def _prior(self, class_prior: Sequence[float] | Floats | None) -> Floats:
        return self.class_prior if class_prior is None else check_prior(class_prior, self.class_names)

    def checked(self, pixels: Pixels) -> Tensor:
        """Stored pixels in model units on the model's device.  Raises DataError if they do not fit the model."""
        if pixels.ndim != 4 or pixels.shape[1:] != self.image_shape:
            raise DataError(
                f"images of shape {pixels.shape[1:]} (channel, height, width); the model expects {self.image_shape}. "
                "Resize or convert them, or train a model for this shape"
            )
        if not np.isfinite(pixels).all():
            raise DataError("pixels that are NaN or infinite; expected finite values. Mend or leave out these images")
        return torch.from_numpy(self.scale.to_model(pixels)).to(self.denoiser.mean.device)

    def _draws(self) -> tuple[Floats, Tensor]:
        """Levels ``(levels,)`` and the noises that all images share ``(levels, noises, channel, height, width)``."""
        settings = self.config.evidence
        sigmas = log_spaced(settings.sigma_min, settings.sigma_max, settings.levels).double().numpy()
        return sigmas, draw_noise(settings.levels, settings.noises, self.image_shape, self.config.seed)


def _answers(evidence: Floats, prior: Floats, error: Callable[[Floats], Floats], passes: NDArray[np.int64]) -> Answers:
    ratio, standard_error = log_likelihood_ratio(evidence, prior, error)
    return Answers(evidence, log_softmax(evidence + np.log(prior), axis=1), ratio, standard_error, passes)


def check_prior(class_prior: Sequence[float] | Floats, class_names: tuple[str, ...]) -> Floats:
    """``class_prior`` as an array ``(classes,)`` that sums to one.  Raises ConfigError otherwise."""
    prior = np.asarray(class_prior, dtype=float)
    names = ", ".join(class_names)
    if prior.shape != (len(class_names),):
        raise ConfigError(f"{prior.size} prevalences; expected {len(class_names)}, one for each of: {names}")
    if not (prior > 0).all() or abs(prior.sum() - 1) > _PRIOR_TOLERANCE:
        raise ConfigError(
            f"prevalences {prior.tolist()} sum to {prior.sum():g}; expected positive numbers that sum to 1, in the order: "
            f"{names}"
        )
    return prior / prior.sum()
