"""What training starts from, besides chance: what the network has learned without classes, or of other images."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from bayescope.denoiser import Denoiser
from bayescope.errors import ConfigError

_CLASS_SPREAD = 0.02
_LABEL = "embedding.label.weight"


@torch.no_grad()
def start_classes_from_none(denoiser: Denoiser, generator: Generator) -> None:
    """Let every class begin as no class, with a little of its own: what p(x) has learned serves p(x|y)."""
    weight = denoiser.net.embedding.label.weight
    weight.copy_(_beginning(weight[-1], denoiser.n_classes, generator))


def start_from(
    denoiser: Denoiser,
    class_names: Sequence[str],
    other: Denoiser,
    other_class_names: Sequence[str],
    generator: Generator,
) -> None:
    """Take over the weights of a network trained on other images; statistics stay those of the images to come.

    A class goes on as the one of the same name, unless that is a bare number; any other begins as no class.  Raises
    ConfigError if the networks differ in more than their classes.
    """
    weights = {key: value.to(denoiser.mean.device) for key, value in other.net.state_dict().items()}
    label = _beginning(weights[_LABEL][-1], denoiser.n_classes, generator)
    for k, name in enumerate(class_names):
        if name in other_class_names and not name.isdigit():
            label[k] = weights[_LABEL][list(other_class_names).index(name)]
    own = {key: tuple(value.shape) for key, value in denoiser.net.state_dict().items() if key != _LABEL}
    theirs = {key: tuple(value.shape) for key, value in weights.items() if key != _LABEL}
    if own != theirs:
        raise ConfigError(
            f"the network to start from ({_size(other)}) is not of the kind of the one to train ({_size(denoiser)}); expected "
            "the same [net] and as many channels. Give the [net] of that run's config.toml, or another run"
        )
    denoiser.net.load_state_dict(weights | {_LABEL: label})


def weights_fingerprint(denoiser: Denoiser) -> str:
    """SHA-256 of a network's weights."""
    digest = hashlib.sha256()
    for key, value in denoiser.net.state_dict().items():
        digest.update(key.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _beginning(no_class: Tensor, n_classes: int, generator: Generator) -> Tensor:
    """Embeddings ``(classes + 1, features)``: no class, with a little of its own in all but the last."""
    own = torch.randn(n_classes, len(no_class), generator=generator) * _CLASS_SPREAD
    return no_class + torch.cat([own, torch.zeros(1, len(no_class))]).to(no_class.device)


def _size(denoiser: Denoiser) -> str:
    count = sum(parameter.numel() for parameter in denoiser.net.parameters())
    return f"{type(denoiser.net).__name__}, {count:,} weights, {denoiser.image_shape[0]} channels"
