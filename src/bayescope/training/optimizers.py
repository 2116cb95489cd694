"""Optimisers, and the parameters that each of them updates."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import nn

from bayescope.config import TrainingConfig
from bayescope.diffusion.denoiser import Denoiser
from bayescope.diffusion.nets.backbone import ends_of
from bayescope.errors import lookup
from bayescope.training.muon import Muon

Optimizers = dict[str, torch.optim.Optimizer]
"""By the name under which a checkpoint keeps their state."""
OptimizerBuilder = Callable[[Denoiser, nn.Module, TrainingConfig], Optimizers]
"""``(denoiser, temperature, config)`` to optimisers with every parameter in one group of one of them."""

_TEMPERATURE_FACTOR = 10.0


def build_optimizers(denoiser: Denoiser, temperature: nn.Module, config: TrainingConfig) -> Optimizers:
    """Every parameter in one group of one optimiser; ``factor`` of a group: its learning rate relative to the configured one.

    Raises ConfigError if there is no such optimiser, or the network does not offer what it needs.
    """
    return lookup(OPTIMIZERS, config.optimizer, "training.optimizer")(denoiser, temperature, config)


def single_optimizer(kind: Callable[..., torch.optim.Optimizer]) -> OptimizerBuilder:
    """One optimiser of a ``kind``, ``(groups, lr=…)``, for all parameters."""

    def build(denoiser: Denoiser, temperature: nn.Module, config: TrainingConfig) -> Optimizers:
        return {"optimizer": kind(_groups(denoiser.parameters(), temperature, config), lr=config.learning_rate)}

    return build


def muon_and_adamw(denoiser: Denoiser, temperature: nn.Module, config: TrainingConfig) -> Optimizers:
    """Muon for the filters inside the network, AdamW for all else.

    That is biases, norms, embeddings, and the filters that read the image and write the output.  Raises ConfigError if the
    network does not say which those are.
    """
    filters = hidden_filters(denoiser)
    inside = {id(parameter) for parameter in filters}
    rest = [parameter for parameter in denoiser.parameters() if id(parameter) not in inside]
    optimizers: Optimizers = {"optimizer": _adamw(_groups(rest, temperature, config), lr=config.learning_rate)}
    if filters:
        factor = config.muon_learning_rate / config.learning_rate
        group = {"params": filters, "weight_decay": config.weight_decay, "factor": factor}
        optimizers["muon"] = Muon([group], lr=config.muon_learning_rate)
    return optimizers


def hidden_filters(denoiser: Denoiser) -> list[nn.Parameter]:
    """Weights of all convolutions but those at the network's two ends."""
    ends = {id(convolution.weight) for convolution in ends_of(denoiser.net)}
    return [
        parameter
        for parameter in denoiser.get_submodule("net").parameters()
        if parameter.ndim == 4 and id(parameter) not in ends
    ]


def _groups(parameters: Iterable[nn.Parameter], temperature: nn.Module, config: TrainingConfig) -> list[dict[str, Any]]:
    return [
        {"params": list(parameters), "weight_decay": config.weight_decay, "factor": 1.0},
        {"params": list(temperature.parameters()), "weight_decay": 0.0, "factor": _TEMPERATURE_FACTOR},
    ]


_adamw = partial(torch.optim.AdamW, betas=(0.9, 0.99))

OPTIMIZERS: dict[str, OptimizerBuilder] = {
    "adamw": single_optimizer(_adamw),
    "adam": single_optimizer(torch.optim.Adam),
    "muon": muon_and_adamw,
}
"""By word of ``training.optimizer``."""
