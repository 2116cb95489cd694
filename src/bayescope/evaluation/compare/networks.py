"""Discriminative networks of MONAI, made to fit images of any size."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from bayescope.errors import ConfigError

_SMALL_STEM_UP_TO, _FEWEST_PIXELS = 64, 64

Shape = tuple[int, int, int]
"""Channels, height, width."""


@dataclass(frozen=True)
class Network:
    """A published network: its name, how to build it for images of a shape, and the learning rate it trains at."""

    name: str
    build: Callable[[ModuleType, Shape, int], nn.Module]
    input_size: Callable[[Shape], tuple[int, int]]
    learning_rate: float = 1e-3


class Resized(nn.Module):
    """A network behind a bilinear resize to the ``(height, width)`` it needs."""

    def __init__(self, net: nn.Module, size: tuple[int, int]) -> None:
        super().__init__()
        self.net, self.size = net, size

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(n, channel, height, width)`` to logits ``(n, classes)``."""
        if x.shape[-2:] != self.size:
            x = F.interpolate(x, self.size, mode="bilinear", align_corners=False, antialias=True)
        found = self.net(x)
        return found[0] if isinstance(found, tuple) else found


def build_network(name: str, image_shape: Shape, n_classes: int) -> nn.Module:
    """The network with random weights, logits ``(n, classes)`` of model-scale images.  Raises ConfigError without MONAI."""
    network = find_network(name)
    return Resized(network.build(load_monai(), image_shape, n_classes), network.input_size(image_shape))


def find_network(name: str) -> Network:
    """Raises ConfigError for a name that is none of :data:`NETWORKS`."""
    if name not in NETWORKS:
        raise ConfigError(f"network {name!r}; expected one or more of {', '.join(NETWORKS)}, separated by commas")
    return NETWORKS[name]


def load_monai() -> ModuleType:
    """MONAI's networks.  Raises ConfigError if MONAI, or einops that its ViT needs, is not installed."""
    try:
        import einops  # noqa: F401
        from monai.networks import nets
    except ImportError as error:
        raise ConfigError(
            f"the networks to compare with need MONAI and einops ({error}); install the extra: pip install 'bayescope[compare]'"
        ) from None
    return nets


def _as_is(shape: Shape) -> tuple[int, int]:
    return shape[1:]


def _at_least_64(shape: Shape) -> tuple[int, int]:
    factor = max(1.0, _FEWEST_PIXELS / min(shape[1:]))
    return round(shape[1] * factor), round(shape[2] * factor)


def _patch(shape: Shape) -> int:
    return 4 if min(shape[1:]) < 64 else 8 if min(shape[1:]) < 160 else 16


def _whole_patches(shape: Shape) -> tuple[int, int]:
    patch = _patch(shape)
    return math.ceil(shape[1] / patch) * patch, math.ceil(shape[2] / patch) * patch


def _resnet(name: str) -> Callable[[ModuleType, Shape, int], nn.Module]:
    def build(nets: ModuleType, shape: Shape, n_classes: int) -> nn.Module:
        small = min(shape[1:]) <= _SMALL_STEM_UP_TO
        stem: dict[str, Any] = {"conv1_t_size": 3, "no_max_pool": True} if small else {"conv1_t_size": 7}
        return getattr(nets, name)(spatial_dims=2, n_input_channels=shape[0], num_classes=n_classes, conv1_t_stride=2, **stem)

    return build


def _densenet(nets: ModuleType, shape: Shape, n_classes: int) -> nn.Module:
    return nets.DenseNet121(spatial_dims=2, in_channels=shape[0], out_channels=n_classes)


def _efficientnet(nets: ModuleType, shape: Shape, n_classes: int) -> nn.Module:
    return nets.EfficientNetBN("efficientnet-b0", pretrained=False, in_channels=shape[0], num_classes=n_classes)


def _vit(nets: ModuleType, shape: Shape, n_classes: int) -> nn.Module:
    return nets.ViT(
        in_channels=shape[0],
        img_size=_whole_patches(shape),
        patch_size=_patch(shape),
        hidden_size=192,
        mlp_dim=768,
        num_heads=3,
        classification=True,
        num_classes=n_classes,
        spatial_dims=2,
        post_activation=None,
    )


NETWORKS = {
    "resnet18": Network("ResNet-18", _resnet("resnet18"), _as_is),
    "resnet50": Network("ResNet-50", _resnet("resnet50"), _as_is),
    "densenet121": Network("DenseNet-121", _densenet, _at_least_64),
    "efficientnet-b0": Network("EfficientNet-B0", _efficientnet, _at_least_64),
    "vit": Network("ViT-Tiny", _vit, _whole_patches, learning_rate=3e-4),
}
"""By the name on the command line.

ResNets have a 3x3 stem of stride 2 without pooling up to 64 pixels, their published stem above: half the image's resolution, as
behind Bayescope's own stem, and a quarter of the time of stride 1.  DenseNet-121 and EfficientNet-B0 shrink images 32-fold:
images of fewer than 64 pixels a side are enlarged to 64.  ViT-Tiny cuts patches of 4 pixels below 64 a side, 8 below 160, 16
above, and enlarges images to whole patches.
"""
