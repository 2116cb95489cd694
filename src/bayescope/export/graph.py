"""The scoring of one draw as a graph of tensors: images, a noise and its level, and classes, to denoised images and evidence.

::

    x (n, channel, height, width)    images in model units
    noise (channel, height, width)   standard normal, the same for all images and classes
    sigma ()                         noise level
    image, label (rows,)             row r scores image x[image[r]] under class label[r]

    denoised (rows, channel, height, width)   D(x + sigma noise; sigma, class)
    evidence (rows,)                          -‖x - D‖²/sigma², nats per unit of log sigma

The part of the network before its first modulation runs once per image, however many classes the image is scored under.  The
numbers of images and of rows are free; the size of an image is the model's.
"""

import copy

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from bayescope.diffusion.denoiser import Denoiser
from bayescope.diffusion.nets.backbone import Backbone
from bayescope.diffusion.spectral_denoiser import SpectralDenoiser
from bayescope.errors import ConfigError

INPUTS = ("x", "noise", "sigma", "image", "label")
OUTPUTS = ("denoised", "evidence")
_IMAGES, _ROWS = 3, 5
"""Of the example that is traced; two different numbers above 1, neither of which the graph may keep."""


class DrawScorer(nn.Module):
    """Scores one draw by a trained denoiser."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(self, x: Tensor, noise: Tensor, sigma: Tensor, image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Denoised images ``(rows, channel, height, width)`` and evidence ``(rows,)`` of the inputs above."""
        denoised = self.denoiser.at_level(sigma)(x + sigma * noise, image, label)
        error = (x[image] - denoised).square().sum(dim=(1, 2, 3))
        return denoised, -error / sigma.square()


class HalfNetwork(nn.Module):
    """A network in half precision between inputs and outputs of single precision."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net: Backbone = copy.deepcopy(net).half()  # type: ignore[assignment]

    def modulate(self, level: Tensor, label: Tensor) -> list[Tensor]:
        """That of the network, in half precision."""
        return self.net.modulate(level.half(), label)

    def under(self, z: Tensor, image: Tensor, modulation: list[Tensor]) -> Tensor:
        """That of the network: ``(rows, channel, height, width)``."""
        return self.net.under(z.half(), image, modulation).float()


def trace(denoiser: Denoiser, half: bool = False) -> ExportedProgram:
    """The scoring of one draw by ``denoiser`` as a graph; ``half``: with the network's weights in half precision.

    Raises ConfigError for a network whose image depends on the noise level.
    """
    if isinstance(denoiser, SpectralDenoiser) and len(denoiser.crop.sides) > 1:
        raise ConfigError(
            f"found net.crop_snr {denoiser.crop.snr:g}; expected 0: a graph has one image size for all noise levels. Train "
            "with crop_snr 0 to export, or classify with the run itself"
        )
    traced = copy.deepcopy(denoiser).cpu()
    if half:
        traced.net = HalfNetwork(traced.get_submodule("net"))
    image, label = torch.arange(_ROWS) % _IMAGES, torch.arange(_ROWS) % denoiser.n_classes
    example = torch.zeros(_IMAGES, *denoiser.image_shape), torch.zeros(denoiser.image_shape), torch.tensor(1.0), image, label
    images, rows = {0: Dim.DYNAMIC}, {0: Dim.DYNAMIC}
    return torch.export.export(DrawScorer(traced), example, dynamic_shapes=(images, None, None, rows, rows))
