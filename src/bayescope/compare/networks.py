"""Discriminative networks of MONAI, trained fairly: augmentation, class weights, early stopping on the validation AUC.

AdamW with a cosine to zero, cross-entropy weighed against the class frequencies, the weights of the best validation AUC kept.
Networks start from random weights, as Bayescope does.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bayescope.config import Augmentation
from bayescope.data.images import Dataset, PixelScale
from bayescope.errors import ConfigError
from bayescope.metrics import auc
from bayescope.shapes import Floats, Pixels
from bayescope.training.augment import choose

_SMALL_STEM_UP_TO, _FEWEST_PIXELS = 64, 64
_PASSES, _FEWEST_STEPS_PER_PASS = 40, 40
_EVALUATION_BATCH = 256

Shape = tuple[int, int, int]
"""Channels, height, width."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: at most ``steps`` of ``batch_size`` images drawn at random.

    It is checked ``checks`` times, evenly, and stopped after ``patience`` checks without a better validation AUC.
    """

    steps: int
    batch_size: int = 64
    augmentation: Augmentation = "auto"
    intensity: float = 0.0
    weight_decay: float = 1e-2
    checks: int = _PASSES
    patience: int = 8

    @classmethod
    def usual(cls, n_images: int) -> "Recipe":
        """40 passes over ``n_images``, at least 1600 steps."""
        return cls(_PASSES * max(_FEWEST_STEPS_PER_PASS, n_images // cls.batch_size))


@dataclass(frozen=True)
class Network:
    """A published network: its name, how to build it for images of a shape, and the learning rate it trains at."""

    name: str
    build: Callable[[ModuleType, Shape, int], nn.Module]
    input_size: Callable[[Shape], tuple[int, int]]
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class TrainedNetwork:
    """``predict``: stored pixels ``(n, channel, height, width)`` to posterior ``(n, classes)``."""

    predict: Callable[[Pixels], Floats]
    steps: int
    parameters: int


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


def train_network(name: str, data: Dataset, seed: int, recipe: Recipe, device: torch.device | str = "cpu") -> TrainedNetwork:
    """Train on the train split, stop by the validation split.  Raises ConfigError without MONAI."""
    torch.manual_seed(seed)
    scale = PixelScale.of(data.train.pixels)
    x, y = torch.from_numpy(scale.to_model(data.train.pixels)), torch.tensor(data.train.labels)
    net = build_network(name, data.train.image_shape, data.n_classes)
    net = net.to(memory_format=torch.channels_last).to(device)  # type: ignore[call-overload]
    weight = (len(y) / (data.n_classes * torch.bincount(y, minlength=data.n_classes).float())).to(device)
    augment = choose(recipe.augmentation, len(y), recipe.intensity)
    generator = torch.Generator().manual_seed(seed)
    check_every = max(1, recipe.steps // recipe.checks)
    optimizer = torch.optim.AdamW(net.parameters(), lr=find_network(name).learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.steps)

    @torch.inference_mode()
    def predict(pixels: Pixels) -> Floats:
        net.eval()
        batches = torch.from_numpy(scale.to_model(pixels)).split(_EVALUATION_BATCH)
        return np.concatenate([net(batch.to(device)).double().softmax(dim=1).cpu().numpy() for batch in batches])

    best, kept, bad, step = -1.0, copy.deepcopy(net.state_dict()), 0, 0
    while step < recipe.steps and bad < recipe.patience:
        step += 1
        net.train()
        chosen = torch.randint(len(y), (recipe.batch_size,), generator=generator)
        batch = x[chosen].to(device)
        batch = augment(batch, generator) if augment else batch
        loss = F.cross_entropy(net(batch), y[chosen].to(device), weight=weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % check_every == 0:
            reached = auc(predict(data.val.pixels), data.val.labels)
            best, kept, bad = (reached, copy.deepcopy(net.state_dict()), 0) if reached > best else (best, kept, bad + 1)
    net.load_state_dict(kept)
    return TrainedNetwork(predict, step, sum(p.numel() for p in net.parameters()))


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
        return getattr(nets, name)(
            spatial_dims=2, n_input_channels=shape[0], num_classes=n_classes, conv1_t_stride=1 if small else 2, **stem
        )

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

ResNets have a 3x3 stem of stride 1 without pooling up to 64 pixels, their published stem above.  DenseNet-121 and
EfficientNet-B0 shrink images 32-fold: images of fewer than 64 pixels a side are enlarged to 64.  ViT-Tiny cuts patches of 4
pixels below 64 a side, 8 below 160, 16 above, and enlarges images to whole patches.
"""
