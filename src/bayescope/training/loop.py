"""The training loop: draw, augment, add noise, weigh under every class, step, average.

Deterministic on the CPU: all randomness is a function of the seed and the step (see ``draw``), so a state restored from
a file ends with the same weights, bit for bit, as a run that was never interrupted.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Generator, Tensor

from bayescope.config import Config, Decay, TrainingConfig
from bayescope.data.images import ImageSet, PixelScale
from bayescope.errors import RunError
from bayescope.image_statistics import ImageStatistics
from bayescope.networks import build_denoiser
from bayescope.shapes import Labels
from bayescope.training.augment import choose
from bayescope.training.draw import BalancedDraws, seeded
from bayescope.training.loss import LOSS_WEIGHTS, Losses, LossWeight, draw_levels, generative_loss, joint_loss
from bayescope.training.state import TrainingState

_STATISTICS_IMAGES = 20_000
_STATISTICS_PIXELS = 2**27  # 512 MiB
_VALIDATION_IMAGES = 256
_VALIDATION_PIXELS = 2**22  # at a time
_DRAWS, _NOISES, _VALIDATION, _WEIGHTS, _STATISTICS = range(5)


@dataclass(frozen=True)
class Progress:
    """What a callback is told after a step; ``validation`` is None except at the validating steps."""

    state: TrainingState
    steps: int
    losses: Losses
    validation: Losses | None


Watch = Callable[[Progress], None]


def start(config: Config, train: ImageSet, scale: PixelScale, fabric: Fabric) -> TrainingState:
    """A fresh state: statistics of the training images, weights from the seed."""
    generator = seeded(config.seed, _STATISTICS)
    n_chosen = min(_STATISTICS_IMAGES, max(1, _STATISTICS_PIXELS // int(np.prod(train.image_shape))))
    chosen = _at_most(n_chosen, train.labels, generator)
    x = torch.from_numpy(scale.to_model(train.pixels[chosen]))
    augment = choose(config.training.augmentation, len(train), config.training.intensity)
    x = augment(x, generator) if augment else x
    labels = torch.from_numpy(train.labels[chosen])
    statistics = ImageStatistics.of(x, labels, train.n_classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeded(config.seed, _WEIGHTS).initial_seed())
        denoiser = build_denoiser(statistics, config.net)
    if config.net.patterns:
        denoiser.start_filters(x, labels, math.exp(config.training.noise_mean), config.net.patterns)
    return TrainingState.start(denoiser.to(fabric.device), config.training)


def _at_most(n: int, labels: Labels, generator: Generator) -> NDArray[np.int64]:
    """Rising indices of at most ``n`` images, and of at least one image of every class."""
    order = torch.randperm(len(labels), generator=generator).numpy()
    firsts = np.unique(labels[order], return_index=True)[1]
    return np.unique(np.r_[order[:n], order[firsts]])


def train(
    state: TrainingState,
    config: Config,
    train_set: ImageSet,
    val_set: ImageSet,
    scale: PixelScale,
    fabric: Fabric,
    callback: Watch = lambda progress: None,
) -> None:
    """Run from ``state.step`` to the configured number of steps, changing ``state``; call back after every step.

    Raises RunError at a loss that is not finite, before the step is taken.
    """
    settings = config.training
    augment = choose(settings.augmentation, len(train_set), settings.intensity)
    draws = BalancedDraws(train_set.labels, train_set.n_classes, settings.batch_size, seed=config.seed)
    epoch_steps = len(train_set) / settings.batch_size
    labels = torch.tensor(train_set.labels)
    state.denoiser.train()
    while state.step < settings.steps:
        generator = seeded(config.seed, _NOISES, state.step)
        indices = draws(state.step)
        x = torch.from_numpy(scale.to_model(train_set.pixels[indices.numpy()]))
        batch = _Batch.draw(augment(x, generator) if augment else x, labels[indices], settings, generator)
        joint = settings.evidence_weight > 0 and state.step >= settings.evidence_from * settings.steps
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator.initial_seed())
            losses = _step(state, settings, batch.to(fabric), joint, learning_rate(state.step, settings, epoch_steps), fabric)
        validating = state.step % settings.validate_every == 0 or state.step == settings.steps
        validation = validate(state, config, val_set, scale, fabric) if validating else None
        if validation and len(val_set) and not torch.isfinite(validation.denoising):
            raise diverged(state.step, f"validation loss {validation.denoising.item()}", settings)
        callback(Progress(state, settings.steps, losses, validation))


@torch.inference_mode()
def validate(state: TrainingState, config: Config, val_set: ImageSet, scale: PixelScale, fabric: Fabric) -> Losses:
    """Both losses of the averaged weights on validation images, at noise that is the same every time; NaN without images."""
    if not len(val_set):
        return Losses(torch.full((), torch.nan), torch.full((), torch.nan))
    generator = seeded(config.seed, _VALIDATION)
    chosen = torch.randperm(len(val_set), generator=generator)[:_VALIDATION_IMAGES].numpy()
    x = torch.from_numpy(scale.to_model(val_set.pixels[chosen]))
    batch = _Batch.draw(x, torch.from_numpy(val_set.labels[chosen]), config.training, generator).to(fabric)
    parts = batch.split(max(1, _VALIDATION_PIXELS // x[0].numel()))
    weight = LOSS_WEIGHTS[config.training.loss]
    with fabric.autocast():
        losses = [joint_loss(state.ema, state.temperature, p.x, p.z, p.sigma, p.label, weight) for p in parts]
    return Losses.mean(losses, [len(part.x) / len(x) for part in parts])


@dataclass(frozen=True)
class _Batch:
    """Clean images, the same with noise, its levels, the classes, and which images also train without a class."""

    x: Tensor
    z: Tensor
    sigma: Tensor
    label: Tensor
    dropped: Tensor

    @classmethod
    def draw(cls, x: Tensor, label: Tensor, settings: TrainingConfig, generator: Generator) -> "_Batch":
        n = len(x)
        offset = torch.rand((), generator=generator).item()
        sigma = draw_levels(settings, n, offset)[torch.randperm(n, generator=generator)]
        noise = torch.randn(x.shape, generator=generator)
        dropped = torch.rand(n, generator=generator) < settings.label_dropout
        return cls(x, x + sigma[:, None, None, None] * noise, sigma, label, dropped)

    def to(self, fabric: Fabric) -> "_Batch":
        return _Batch(*fabric.to_device(self._fields()))

    def split(self, n: int) -> "list[_Batch]":
        """Batches of at most ``n`` images."""
        return [_Batch(*part) for part in zip(*(field.split(n) for field in self._fields()), strict=True)]

    def _fields(self) -> tuple[Tensor, ...]:
        return self.x, self.z, self.sigma, self.label, self.dropped


def _step(state: TrainingState, settings: TrainingConfig, batch: _Batch, joint: bool, rate: float, fabric: Fabric) -> Losses:
    weight = LOSS_WEIGHTS[settings.loss]
    for group in state.optimizer.param_groups:
        group["lr"] = rate * group["factor"]
    with fabric.autocast():
        if joint:
            losses = joint_loss(state.denoiser, state.temperature, batch.x, batch.z, batch.sigma, batch.label, weight)
            loss = losses.denoising + settings.evidence_weight * losses.evidence
            if batch.dropped.any():
                loss = loss + batch.dropped.float().mean() * _without_class(state, batch, weight)
        else:
            label = torch.where(batch.dropped, state.denoiser.n_classes, batch.label)
            losses = generative_loss(state.denoiser, batch.x, batch.z, batch.sigma, label, weight)
            loss = losses.denoising
    if not torch.isfinite(loss):
        raise diverged(state.step + 1, f"loss {loss.item()}", settings)
    state.optimizer.zero_grad(set_to_none=True)
    fabric.backward(loss)
    state.optimizer.step()
    state.step += 1
    state.update_ema(settings.ema_decay)
    return losses


def diverged(step: int, found: str, settings: TrainingConfig) -> RunError:
    """What to raise at a ``step`` of which numbers are not finite."""
    return RunError(
        f"training diverged: {found} at step {step}; expected finite numbers. The last checkpoint, if any, is from before. "
        f"Lower training.learning_rate (now {settings.learning_rate:g}) and start anew, with --force to replace this run"
    )


def _without_class(state: TrainingState, batch: _Batch, weight: LossWeight) -> Tensor:
    x, z, sigma = batch.x[batch.dropped], batch.z[batch.dropped], batch.sigma[batch.dropped]
    no_class = torch.full((len(x),), state.denoiser.n_classes, device=x.device)
    return generative_loss(state.denoiser, x, z, sigma, no_class, weight).denoising


def learning_rate(step: int, settings: TrainingConfig, epoch_steps: float = math.inf) -> float:
    """Linear warm-up, then the decay asked for; ``epoch_steps``: steps that draw as many images as there are."""
    warm = min(1.0, (step + 1) / settings.warmup_steps)
    return settings.learning_rate * warm * _DECAYS[settings.decay](step, settings, epoch_steps)


_DECAYS: dict[Decay, Callable[[int, TrainingConfig, float], float]] = {
    "cosine": lambda step, settings, epoch_steps: 0.51 + 0.49 * math.cos(math.pi * step / settings.steps),
    "step": lambda step, settings, epoch_steps: settings.decay_factor ** (step // (settings.decay_epochs * epoch_steps)),
}
