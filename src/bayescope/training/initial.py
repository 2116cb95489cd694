"""Initial weights: from training without classes, or from the network of another run."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from bayescope.diffusion.denoiser import Denoiser
from bayescope.diffusion.nets.backbone import class_embedding_of
from bayescope.errors import ConfigError

_CLASS_SPREAD = 0.02


@torch.no_grad()
def start_classes_from_none(denoiser: Denoiser, generator: Generator) -> None:
    """Start the embedding of every class from that of no class, plus a small random vector, so that p(x|y) starts from p(x)."""
    weight = class_embedding_of(denoiser.net).weight
    weight.copy_(_beginning(weight[-1], denoiser.n_classes, generator))


def start_from(
    denoiser: Denoiser,
    class_names: Sequence[str],
    other: Denoiser,
    other_class_names: Sequence[str],
    generator: Generator,
) -> None:
    """Copy the weights of a network trained on other images; image statistics are kept.

    A class of the same name keeps its embedding, unless the name is a bare number; any other starts from no class.  Raises
    ConfigError if the networks differ in more than their classes.
    """
    weights = {key: value.to(denoiser.mean.device) for key, value in other.get_submodule("net").state_dict().items()}
    own_embedding = class_embedding_of(denoiser.net).weight
    embedded = class_embedding_of(other.net).weight.to(denoiser.mean.device)
    label = _beginning(embedded[-1], denoiser.n_classes, generator)
    for k, name in enumerate(class_names):
        if name in other_class_names and not name.isdigit():
            label[k] = embedded[list(other_class_names).index(name)]
    key = next(key for key, value in denoiser.get_submodule("net").named_parameters() if value is own_embedding)
    own = {name: tuple(value.shape) for name, value in denoiser.get_submodule("net").state_dict().items() if name != key}
    theirs = {name: tuple(value.shape) for name, value in weights.items() if name != key}
    if own != theirs:
        raise ConfigError(
            f"the network to start from ({_size(other)}) is not of the kind of the one to train ({_size(denoiser)}); expected "
            "the same [net] and as many channels. Give the [net] of that run's config.toml, or another run"
        )
    denoiser.get_submodule("net").load_state_dict(weights | {key: label})


def weights_fingerprint(denoiser: Denoiser) -> str:
    """SHA-256 of a network's weights."""
    digest = hashlib.sha256()
    for key, value in denoiser.get_submodule("net").state_dict().items():
        digest.update(key.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _beginning(no_class: Tensor, n_classes: int, generator: Generator) -> Tensor:
    """Embeddings ``(classes + 1, features)``: no class, with a little of its own in all but the last."""
    own = torch.randn(n_classes, len(no_class), generator=generator) * _CLASS_SPREAD
    return no_class + torch.cat([own, torch.zeros(1, len(no_class))]).to(no_class.device)


def _size(denoiser: Denoiser) -> str:
    count = sum(parameter.numel() for parameter in denoiser.get_submodule("net").parameters())
    return f"{type(denoiser.net).__name__}, {count:,} weights, {denoiser.image_shape[0]} channels"
