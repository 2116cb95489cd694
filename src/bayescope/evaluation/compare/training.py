"""Training of discriminative networks: augmentation, class weights, early stopping on the validation AUC.

AdamW with a cosine to zero, cross-entropy weighted inversely to the class frequencies, the weights of the best validation AUC
kept. Networks start from random weights, as Bayescope does.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor, nn
from torch.nn import functional as F

from bayescope.data.dataset import Dataset
from bayescope.data.pixel_scale import PixelScale
from bayescope.errors import RunError
from bayescope.evaluation.compare.networks import Shape, build_network, find_network
from bayescope.metrics.delong import auc
from bayescope.runs.files import load_tensors, save_tensors
from bayescope.training.augmentation import build_augmentation
from bayescope.types import Floats, Pixels

_PASSES, _FEWEST_STEPS_PER_PASS = 40, 40
_EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: at most ``steps`` of ``batch_size`` images drawn at random.

    It is checked ``checks`` times, evenly, and stopped after ``patience`` checks without a better validation AUC.
    """

    steps: int
    batch_size: int = 64
    augmentation: str = "auto"
    intensity: float = 0.0
    weight_decay: float = 1e-2
    checks: int = _PASSES
    patience: int = 8

    @classmethod
    def usual(cls, n_images: int) -> "Recipe":
        """40 passes over ``n_images``, at least 1600 steps."""
        return cls(_PASSES * max(_FEWEST_STEPS_PER_PASS, n_images // cls.batch_size))


@dataclass(frozen=True)
class TrainedNetwork:
    """A network, the scale of the pixels it was trained on, and the steps it took.

    All methods take stored pixels ``(n, channel, height, width)``.
    """

    name: str
    image_shape: Shape
    n_classes: int
    net: nn.Module
    scale: PixelScale
    steps: int

    @property
    def parameters(self) -> int:
        """How many numbers were trained."""
        return sum(p.numel() for p in self.net.parameters())

    def predict(self, pixels: Pixels) -> Floats:
        """Posterior ``(n, classes)``."""
        return np.asarray(softmax(self.logits(pixels), axis=1))

    def logits(self, pixels: Pixels) -> Floats:
        """What the softmax is taken of: ``(n, classes)``."""
        return self._batches(pixels, self.net)

    def features(self, pixels: Pixels) -> Floats:
        """What the last linear layer is shown: ``(n, features)``."""
        last = [module for module in self.net.modules() if isinstance(module, nn.Linear)][-1]
        seen: list[Tensor] = []
        hook = last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))

        def shown(batch: Tensor) -> Tensor:
            self.net(batch)
            return seen.pop()

        try:
            return self._batches(pixels, shown)
        finally:
            hook.remove()

    @torch.inference_mode()
    def _batches(self, pixels: Pixels, function: Callable[[Tensor], Tensor]) -> Floats:
        self.net.eval()
        device = next(self.net.parameters()).device
        parts = range(0, len(pixels), _EVALUATION_BATCH)
        batches = (torch.from_numpy(self.scale.to_model(pixels[i : i + _EVALUATION_BATCH])) for i in parts)
        return np.concatenate([function(batch.to(device)).double().cpu().numpy() for batch in batches])


def save_network(path: Path, network: TrainedNetwork) -> None:
    """Write a safetensors file atomically."""
    about = {
        "name": network.name,
        "image_shape": network.image_shape,
        "n_classes": network.n_classes,
        "scale": [network.scale.low, network.scale.high],
        "steps": network.steps,
    }
    save_tensors(path, network.net.state_dict(), {"network": json.dumps(about)})


def load_network(path: Path) -> TrainedNetwork:
    """The network of a file of :func:`save_network`, on the CPU.

    Raises RunError for another file, ConfigError without MONAI.
    """
    tensors, metadata = load_tensors(path)
    if "network" not in metadata:
        raise RunError(f"{path}: contains no network; expected a file written by save_network")
    about = json.loads(metadata["network"])
    shape = tuple(about["image_shape"])
    net = build_network(about["name"], shape, about["n_classes"])
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    net.load_state_dict(tensors)
    return TrainedNetwork(about["name"], shape, about["n_classes"], net, PixelScale(*about["scale"]), about["steps"])


def train_network(
    name: str,
    data: Dataset,
    seed: int,
    recipe: Recipe,
    device: torch.device | str = "cpu",
    checked: Callable[[int, float], None] = lambda step, auc: None,
) -> TrainedNetwork:
    """Train on the train split, stop by the validation split; ``checked(step, validation AUC)`` is called at each check.

    Raises ConfigError without MONAI.
    """
    torch.manual_seed(seed)
    scale = PixelScale.of(data.train.pixels)
    y = torch.tensor(data.train.labels)
    net = build_network(name, data.train.image_shape, data.n_classes)
    net = net.to(memory_format=torch.channels_last).to(device)  # type: ignore[call-overload]
    weight = (len(y) / (data.n_classes * torch.bincount(y, minlength=data.n_classes).float())).to(device)
    augment = build_augmentation(recipe.augmentation, len(y), recipe.intensity)
    generator = torch.Generator().manual_seed(seed)
    check_every = max(1, recipe.steps // recipe.checks)
    optimizer = torch.optim.AdamW(net.parameters(), lr=find_network(name).learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.steps)
    best, kept, bad, step = -1.0, copy.deepcopy(net.state_dict()), 0, 0
    while step < recipe.steps and bad < recipe.patience:
        step += 1
        net.train()
        chosen = torch.randint(len(y), (recipe.batch_size,), generator=generator)
        batch = torch.from_numpy(scale.to_model(data.train.pixels[chosen.numpy()])).to(device)
        batch = augment(batch, generator) if augment else batch
        loss = F.cross_entropy(net(batch), y[chosen].to(device), weight=weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % check_every == 0:
            now = TrainedNetwork(name, data.train.image_shape, data.n_classes, net, scale, step)
            reached = auc(now.predict(data.val.pixels), data.val.labels)
            checked(step, reached)
            best, kept, bad = (reached, copy.deepcopy(net.state_dict()), 0) if reached > best else (best, kept, bad + 1)
    net.load_state_dict(kept)
    return TrainedNetwork(name, data.train.image_shape, data.n_classes, net, scale, step)
