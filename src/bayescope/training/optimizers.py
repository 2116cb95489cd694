"""Which optimiser updates which parameter."""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from bayescope.config import Optimizer, TrainingConfig
from bayescope.diffusion.denoiser import Denoiser
from bayescope.training.muon import Muon

Optimizers = dict[str, torch.optim.Optimizer]
"""By the name under which a checkpoint keeps their state."""

_TEMPERATURE_FACTOR = 10.0

_ADAPTIVE: dict[Optimizer, Callable[..., torch.optim.Optimizer]] = {
    "adamw": partial(torch.optim.AdamW, betas=(0.9, 0.99)),
    "adam": torch.optim.Adam,
    "muon": partial(torch.optim.AdamW, betas=(0.9, 0.99)),
}


def build_optimizers(denoiser: Denoiser, temperature: nn.Module, config: TrainingConfig) -> Optimizers:
    """Every parameter in one group of one optimiser; ``factor`` of a group: its learning rate relative to the configured one.

    "muon" updates the filters inside the network, and AdamW all else: biases, norms, embeddings, and the filters that read
    the image and write the answer.
    """
    filters = hidden_filters(denoiser) if config.optimizer == "muon" else []
    inside = {id(parameter) for parameter in filters}
    rest = [parameter for parameter in denoiser.parameters() if id(parameter) not in inside]
    groups = [
        {"params": rest, "weight_decay": config.weight_decay, "factor": 1.0},
        {"params": list(temperature.parameters()), "weight_decay": 0.0, "factor": _TEMPERATURE_FACTOR},
    ]
    optimizers: Optimizers = {"optimizer": _ADAPTIVE[config.optimizer](groups, lr=config.learning_rate)}
    if filters:
        factor = config.muon_learning_rate / config.learning_rate
        group = {"params": filters, "weight_decay": config.weight_decay, "factor": factor}
        optimizers["muon"] = Muon([group], lr=config.muon_learning_rate)
    return optimizers


def hidden_filters(denoiser: Denoiser) -> list[nn.Parameter]:
    """Weights of all convolutions but those at the network's two ends."""
    ends = {id(convolution.weight) for convolution in denoiser.net.ends}
    return [
        parameter
        for parameter in denoiser.get_submodule("net").parameters()
        if parameter.ndim == 4 and id(parameter) not in ends
    ]
