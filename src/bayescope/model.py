"""The likelihood classifier as Bayes' rule: a trained denoiser, how to weigh with it, and what an image is told.

log p(y|x) = log p(x|y) + log p(y) - log Σ_y' p(x|y') p(y')
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.special import log_softmax

from bayescope.calibration import Weighing, choose_weighing
from bayescope.config import Config
from bayescope.data.images import ImageSet, PixelScale
from bayescope.denoiser import Denoiser
from bayescope.errors import ConfigError, DataError
from bayescope.evidence.bound import LevelEvidence, draw_noise, level_evidence
from bayescope.evidence.sample import sample
from bayescope.noise import log_spaced
from bayescope.shapes import Floats, Pixels

_PRIOR_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Answers:
    """What is said of ``n`` images.

    ``evidence``: log-likelihood per class, nats up to a constant common to the classes, ``(n, classes)``;
    ``log_posterior``: ``(n, classes)``; ``log_likelihood_ratio`` of each class against the rest and its Monte Carlo
    ``standard_error``, nats, ``(n, classes)``; ``passes``: network passes per image.
    """

    evidence: Floats
    log_posterior: Floats
    log_likelihood_ratio: Floats
    standard_error: Floats
    passes: int

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

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.denoiser.image_shape

    def level_evidence(
        self, pixels: Pixels, callback: Callable[[int], None] = lambda images: None, batch_size: int = 128
    ) -> LevelEvidence:
        """Evidence per level of stored pixels ``(n, channel, height, width)``.

        Raises DataError if the images are of another shape than the model's, or not finite.
        """
        if pixels.ndim != 4 or pixels.shape[1:] != self.image_shape:
            raise DataError(
                f"images of shape {pixels.shape[1:]} (channel, height, width); the model expects {self.image_shape}. "
                "Resize or convert them, or train a model for this shape"
            )
        if not np.isfinite(pixels).all():
            raise DataError("pixels that are NaN or infinite; expected finite values. Mend or leave out these images")
        settings = self.config.evidence
        sigmas = log_spaced(settings.sigma_min, settings.sigma_max, settings.levels)
        noise = draw_noise(settings.levels, settings.noises, self.image_shape, self.config.seed)
        x = torch.from_numpy(self.scale.to_model(pixels)).to(self.denoiser.mean.device)
        return level_evidence(self.denoiser.under_every_class, x, sigmas.double().numpy(), noise, batch_size, callback)

    def calibrated(self, held_out: ImageSet, callback: Callable[[int], None] = lambda images: None) -> "LikelihoodModel":
        """The same model with the level weights its configuration asks for, chosen on held-out images."""
        levels = self.level_evidence(held_out.pixels, callback)
        return replace(self, weighing=choose_weighing(self.config.evidence, levels, held_out.labels))

    def answer(self, levels: LevelEvidence, class_prior: Sequence[float] | Floats | None = None) -> Answers:
        """Bayes' rule with ``class_prior`` (default: the model's own).  Raises ConfigError if it is no distribution."""
        prior = self.class_prior if class_prior is None else check_prior(class_prior, self.class_names)
        evidence = self.weighing.evidence(levels)
        ratio, error = self.weighing.log_likelihood_ratio(levels, prior)
        return Answers(evidence, log_softmax(evidence + np.log(prior), axis=1), ratio, error, levels.passes)

    def sample(self, per_class: int, steps: int = 24, seed: int = 0) -> Floats:
        """Images drawn from every class, in the model's scale: ``(classes, per_class, channel, height, width)``.

        The i-th image of every class starts from the same noise.
        """
        rows = []
        for k in range(len(self.class_names)):
            rows.append(sample(self.denoiser, torch.full((per_class,), k), steps, seed).float().cpu().numpy())
        return np.stack(rows)


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
