"""Denoising loss and evidence loss of a batch.

Denoising (EDM): ``λ(σ) ‖D(x + σn; σ, y) - x‖²``, the weight λ making the loss of an untrained network one at every
level.  It trains p(x|y), but gives little weight to small structures: a lesion is worth a few nats among hundreds.

Evidence: the denoising evidence of one level and one noise, ``-‖x - D(x + σn; σ, y)‖²/σ²`` nats per unit of log σ, times
a learned temperature of the level, is a logit per class; its cross-entropy is the loss.  The same
noise serves all classes.  The denoising loss of the true class is kept, so that the network remains a denoiser.

The weight λ, which the denoising loss leaves to choose, is a line of ``LOSS_WEIGHTS``.
"""

from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bayescope.config import TrainingConfig
from bayescope.diffusion.denoiser import Denoiser, epsilon_weight
from bayescope.diffusion.schedules import SCHEDULES, LevelDensity, LogNormal, UniformTime
from bayescope.errors import lookup

LossWeight = Callable[[Denoiser, Tensor], Tensor]
"""λ(σ) of a denoiser at ``sigma (batch,)``: ``(batch,)``."""

LOSS_WEIGHTS: dict[str, LossWeight] = {
    "edm": lambda denoiser, sigma: denoiser.loss_weight(sigma),
    "epsilon": epsilon_weight,
}
"""By word of ``training.loss``."""
LEVEL_DENSITIES: dict[str, Callable[[TrainingConfig], LevelDensity]] = {
    "lognormal": lambda settings: LogNormal(settings.noise_mean, settings.noise_std),
}
"""By word of ``training.noise_levels``, which may also name a schedule, whose time is drawn uniformly."""
NOISE_LEVELS: Mapping[str, object] = ChainMap(SCHEDULES, LEVEL_DENSITIES)  # type: ignore[arg-type]
"""All words of ``training.noise_levels``."""


def loss_weight(settings: TrainingConfig) -> LossWeight:
    """The weight of the denoising loss that the settings name."""
    return lookup(LOSS_WEIGHTS, settings.loss, "training.loss")


def draw_levels(settings: TrainingConfig, n: int, offset: float) -> Tensor:
    """``n`` rising noise levels of low discrepancy from the chosen density, moved by ``offset`` in [0, 1): ``(n,)``."""
    return _level_density(settings).draw(n, offset)


def _level_density(settings: TrainingConfig) -> LevelDensity:
    word = settings.noise_levels
    lookup(NOISE_LEVELS, word, "training.noise_levels")
    return LEVEL_DENSITIES[word](settings) if word in LEVEL_DENSITIES else UniformTime(SCHEDULES[word]())


_KNOTS = 9
_RANGE = (-5.0, 3.0)


class Temperature(nn.Module):
    """Positive, piecewise linear function of log σ, learned with the network and used only in training."""

    def __init__(self) -> None:
        super().__init__()
        self.log_value = nn.Parameter(torch.zeros(_KNOTS))

    def forward(self, sigma: Tensor) -> Tensor:
        low, high = _RANGE
        place = ((sigma.log() - low) / (high - low) * (_KNOTS - 1)).clamp(0, _KNOTS - 1 - 1e-4)
        knot = place.long()
        return torch.lerp(self.log_value[knot], self.log_value[knot + 1], place - knot).exp()


class Losses(NamedTuple):
    """Means over a batch: ``denoising`` relative to an untrained network, ``evidence`` in nats (NaN if not asked)."""

    denoising: Tensor
    evidence: Tensor

    @classmethod
    def sum(cls, parts: Sequence["Losses"]) -> "Losses":
        """Of what each part of a batch adds to the means."""
        return cls(*(torch.stack(values).sum() for values in zip(*parts, strict=True)))


def generative_loss(
    denoiser: Denoiser,
    x: Tensor,
    z: Tensor,
    sigma: Tensor,
    label: Tensor,
    weight: LossWeight = LOSS_WEIGHTS["edm"],
    total: int | None = None,
) -> Losses:
    """Denoising alone, one pass per image; ``label`` may be ``n_classes``, which means no class.

    ``total``: images of the whole batch, if these are a part; the sum over its parts is the mean over the batch.
    """
    error = (x - denoiser(z, sigma, label)).square().sum(dim=(1, 2, 3))
    loss = (error * weight(denoiser, sigma)).sum() / (total or len(x))
    return Losses(loss, torch.full_like(loss, torch.nan))


def joint_loss(
    denoiser: Denoiser,
    temperature: Temperature,
    x: Tensor,
    z: Tensor,
    sigma: Tensor,
    label: Tensor,
    weight: LossWeight = LOSS_WEIGHTS["edm"],
    total: int | None = None,
) -> Losses:
    """Both losses, one pass per image and class on the same noisy image; ``total`` as of :func:`generative_loss`."""
    total = total or len(x)
    denoised = denoiser.under_every_class(z, sigma)
    error = (x[:, None] - denoised).square().sum(dim=(2, 3, 4))
    true_error = error.gather(1, label[:, None])[:, 0]
    logits = -error * (temperature(sigma) / sigma**2)[:, None]
    evidence = F.cross_entropy(logits, label, reduction="sum") / total
    return Losses((true_error * weight(denoiser, sigma)).sum() / total, evidence)
