"""Which denoiser a word of the configuration stands for."""

from collections.abc import Callable

import torch

from bayescope.config import NetConfig
from bayescope.diffusion.denoiser import Denoiser, EpsilonDenoiser, SpectralDenoiser
from bayescope.diffusion.image_statistics import ImageStatistics
from bayescope.diffusion.nets.paper_unet import PaperUNet
from bayescope.diffusion.nets.unet import UNet
from bayescope.diffusion.schedules import SCHEDULES


def build_denoiser(statistics: ImageStatistics, config: NetConfig) -> Denoiser:
    """A denoiser with an untrained network for images of the statistics' shape."""
    denoiser = NETWORKS[config.kind](statistics, config)
    return denoiser.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _fast(statistics: ImageStatistics, config: NetConfig) -> Denoiser:
    channels, n_classes = statistics.channels_and_classes
    image_beside = config.csp_filters == 0
    net = UNet(channels, n_classes, config.widths, config.blocks, config.dropout, image_beside, config.fold)
    return SpectralDenoiser(net, statistics)


def _paper(statistics: ImageStatistics, config: NetConfig) -> Denoiser:
    channels, n_classes = statistics.channels_and_classes
    net = PaperUNet(channels, n_classes, config.widths, config.blocks, config.dropout)
    return EpsilonDenoiser(net, statistics, SCHEDULES[config.schedule]())


NETWORKS: dict[str, Callable[[ImageStatistics, NetConfig], Denoiser]] = {"fast": _fast, "paper": _paper}
"""Word of the configuration to denoiser; a new one is a network in a module of its own and a line here."""
