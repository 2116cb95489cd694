"""The training loop: draw a batch, augment, add noise, compute the losses, update the weights and their average.

A generative start trains p(x) before the classes; images without labels train p(x) alongside.

Deterministic on the CPU: all randomness is a function of the seed and the step (see ``draw``), so a state restored from
a file ends with the same weights, bit for bit, as a run that was never interrupted.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule
from numpy.typing import NDArray
from torch import Generator, Tensor

from bayescope.config import Config, TrainingConfig
from bayescope.data.dataset import ImageSet
from bayescope.data.pixel_scale import PixelScale
from bayescope.diffusion.image_statistics import ImageStatistics
from bayescope.diffusion.nets.backbone import class_embedding_of
from bayescope.diffusion.networks import build_denoiser
from bayescope.errors import RunError
from bayescope.training.ahead import ahead
from bayescope.training.augmentation import build_augmentation
from bayescope.training.batches import Batch, Sampler, StepBatches
from bayescope.training.initial import start_classes_from_none
from bayescope.training.learning_rate import Phase, learning_rate
from bayescope.training.losses import Losses, generative_loss, joint_loss, loss_weight
from bayescope.training.sampler import seeded
from bayescope.training.state import TrainingState
from bayescope.training.step_loss import Contribution, StepLoss
from bayescope.types import Labels

_STATISTICS_IMAGES = 20_000
_STATISTICS_PIXELS = 2**27  # 512 MiB
_VALIDATION_IMAGES = 256
_VALIDATION_PIXELS = 2**22  # at a time
_DRAWN_AHEAD = {"cuda": 4}
"""Steps whose batches are read and drawn while a device of this kind computes; on others, when they are needed."""
_NOISES, _VALIDATION, _WEIGHTS, _STATISTICS, _CLASSES = range(1, 6)


@dataclass(frozen=True)
class Progress:
    """Passed to callbacks after each step; ``validation`` is None except at validation steps."""

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
    augment = build_augmentation(config.training.augmentation, len(train), config.training.intensity)
    x = augment(x, generator) if augment else x
    labels = torch.from_numpy(train.labels[chosen])
    statistics = ImageStatistics.of(x, labels, train.n_classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeded(config.seed, _WEIGHTS).initial_seed())
        denoiser = build_denoiser(statistics, config.net)
    if config.training.generative_steps:
        class_embedding_of(denoiser.net)  # refused now rather than after the generative steps
    if config.net.csp_filters:
        denoiser.start_filters(x, labels, math.exp(config.training.noise_mean), config.net.csp_filters)
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
    unlabelled: ImageSet | None = None,
) -> None:
    """Run from ``state.step`` to the configured number of steps, changing ``state``; call back after every step.

    ``unlabelled`` images teach p(x) along with those of ``train_set``.
    Raises RunError at a loss that is not finite, before the step is taken.
    """
    settings = config.training
    step_loss = _step_loss(state, settings, fabric)
    sampler = Sampler(train_set, unlabelled, config, scale, fabric.global_rank, fabric.world_size)
    epoch_steps = len(train_set) / settings.batch_size

    def draw(step: int) -> list[StepBatches]:
        parts = sampler(step, seeded(config.seed, _NOISES, step)).split(settings.accumulate)
        return [part.pinned() for part in parts] if fabric.device.type == "cuda" else parts

    state.denoiser.train()
    for parts in ahead(draw, range(state.step, settings.steps), _DRAWN_AHEAD.get(fabric.device.type, 0)):
        if state.step == settings.generative_steps > 0:
            _begin_classes(state, seeded(config.seed, _CLASSES))
        seed = seeded(config.seed, _NOISES, state.step).initial_seed()
        rate = learning_rate(state.step, settings, epoch_steps)
        losses = _step(state, settings, rate, partial(_backward, step_loss, parts, seed, fabric))
        validating = state.step % settings.validate_every == 0 or state.step == settings.steps
        validation = validate(state, config, val_set, scale, fabric) if validating else None
        if validation and len(val_set) and not torch.isfinite(validation.denoising):
            raise divergence_error(state.step, f"validation loss {validation.denoising.item()}", settings)
        callback(Progress(state, settings.steps, losses, validation))


@torch.inference_mode()
def validate(state: TrainingState, config: Config, val_set: ImageSet, scale: PixelScale, fabric: Fabric) -> Losses:
    """Both losses of the averaged weights on validation images, at noise that is the same every time; NaN without images.

    Levels are those of the denoising loss.  In the generative start the losses are of p(x), which has no evidence.
    """
    if not len(val_set):
        return Losses(torch.full((), torch.nan), torch.full((), torch.nan))
    generator = seeded(config.seed, _VALIDATION)
    chosen = torch.randperm(len(val_set), generator=generator)[:_VALIDATION_IMAGES].numpy()
    x = torch.from_numpy(scale.to_model(val_set.pixels[chosen]))
    label = torch.from_numpy(val_set.labels[chosen])
    generative = Phase.at(state.step - 1, config.training).generative
    label = torch.full_like(label, state.ema.n_classes) if generative else label
    batch = Batch.draw(x, label, config.training, generator).part(fabric.global_rank, fabric.world_size)
    parts = [fabric.to_device(part) for part in batch.split(max(1, _VALIDATION_PIXELS // x[0].numel()))]
    weight = loss_weight(config.training)
    loss = generative_loss if generative else partial(joint_loss, temperature=state.temperature)
    with fabric.autocast():
        losses = [loss(state.ema, x=p.x, z=p.z, sigma=p.sigma, label=p.label, weight=weight, total=len(chosen)) for p in parts]
    zero = torch.zeros((), device=fabric.device)
    return Losses(*_over_processes(torch.stack(Losses.sum(losses or [Losses(zero, zero)])), fabric))


def _begin_classes(state: TrainingState, generator: Generator) -> None:
    """After the generative start: classes from p(x), and the average from what was reached."""
    start_classes_from_none(state.denoiser, generator)
    state.average_from_here()


def _step_loss(state: TrainingState, settings: TrainingConfig, fabric: Fabric) -> _FabricModule:
    """The loss of a step, whose gradients are averaged over processes."""
    if settings.compile:
        state.denoiser.get_submodule("net").compile()
    return fabric.setup_module(StepLoss(state.denoiser, state.temperature, settings), move_to_device=False)


def _step(state: TrainingState, settings: TrainingConfig, rate: float, backward: Callable[[], Contribution]) -> Losses:
    for optimizer in state.optimizers.values():
        optimizer.zero_grad(set_to_none=True)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["factor"]
    losses, minimised = backward()
    if not torch.isfinite(minimised):
        raise divergence_error(state.step + 1, f"loss {minimised.item()}", settings)
    for optimizer in state.optimizers.values():
        optimizer.step()
    taken = Phase.at(state.step, settings).done + 1
    state.step += 1
    state.update_ema(settings.ema_decay, taken)
    return losses


def _backward(step_loss: _FabricModule, parts: Sequence[StepBatches], seed: int, fabric: Fabric) -> Contribution:
    """Gradients of a whole batch, of which ``parts`` are handled here one by one; and its losses."""
    added = []
    for i, part in enumerate(parts):
        is_last = i == len(parts) - 1
        with torch.random.fork_rng(devices=[]), fabric.no_backward_sync(step_loss, enabled=not is_last):
            torch.manual_seed(seed)  # for every part alike, see diffusion/nets/dropout
            on_device = fabric.to_device(part)
            losses, minimised = step_loss(lambda on_device=on_device: on_device)
            fabric.backward(minimised * fabric.world_size)  # their mean is taken
        added.append(torch.stack([*losses, minimised.detach()]))
    denoising, evidence, minimised = _over_processes(torch.stack(added).sum(dim=0), fabric)
    return Contribution(Losses(denoising, evidence), minimised)


def _over_processes(sums: Tensor, fabric: Fabric) -> Tensor:
    """Sums of all processes."""
    return torch.as_tensor(fabric.all_reduce(sums, reduce_op="sum"))


def divergence_error(step: int, found: str, settings: TrainingConfig) -> RunError:
    """What to raise at a ``step`` of which numbers are not finite."""
    rates = f"training.learning_rate (now {settings.learning_rate:g})"
    if settings.optimizer == "muon":
        rates += f" or training.muon_learning_rate (now {settings.muon_learning_rate:g})"
    return RunError(
        f"training diverged: {found} at step {step}; expected finite numbers. The last checkpoint, if any, is from before. "
        f"Lower {rates} and start again, with --force to replace this run"
    )
