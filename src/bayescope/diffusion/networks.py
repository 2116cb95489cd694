"""The denoisers available to the configuration: each a network with its preconditioning."""

from collections.abc import Callable

import torch

from bayescope.config import NetConfig
from bayescope.diffusion.denoiser import Denoiser, EpsilonDenoiser
from bayescope.diffusion.image_statistics import ImageStatistics
from bayescope.diffusion.nets.paper_unet import PaperUNet
from bayescope.diffusion.nets.unet import UNet
from bayescope.diffusion.schedules import SCHEDULES
from bayescope.diffusion.spectral_denoiser import SpectralDenoiser
from bayescope.errors import lookup


def build_denoiser(statistics: ImageStatistics, config: NetConfig) -> Denoiser:
    """A denoiser with an untrained network for images of the statistics' shape.

    Raises ConfigError for a kind of network or a schedule that does not exist.
    """
    denoiser = lookup(NETWORKS, config.kind, "net.kind")(statistics, config)
    return denoiser.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _fast(statistics: ImageStatistics, config: NetConfig) -> Denoiser:
    channels, n_classes = statistics.channels_and_classes
    append_image = config.csp_filters == 0
    net = UNet(channels, n_classes, config.widths, config.blocks, config.dropout, append_image, config.fold)
    return SpectralDenoiser(net, statistics, config.crop_snr, config.fold)


def _paper(statistics: ImageStatistics, config: NetConfig) -> Denoiser:
    channels, n_classes = statistics.channels_and_classes
    net = PaperUNet(channels, n_classes, config.widths, config.blocks, config.dropout)
    return EpsilonDenoiser(net, statistics, lookup(SCHEDULES, config.schedule, "net.schedule")())


NETWORKS: dict[str, Callable[[ImageStatistics, NetConfig], Denoiser]] = {"fast": _fast, "paper": _paper}
"""By word of ``net.kind``; a new one is a network in a module of its own, see :mod:`bayescope.diffusion.nets.backbone`."""
