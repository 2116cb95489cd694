"""The interface of a raw network, and optional capabilities.

A new network is one module with a class that satisfies :class:`Backbone`, and one line in ``NETWORKS`` of
:mod:`bayescope.diffusion.networks`.  It trains by AdamW and classifies; Muon also needs its :class:`Ends`, and a start
from p(x) or from another run its :class:`ClassEmbedding`.
"""

from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from bayescope.errors import ConfigError


class Backbone(Protocol):
    """A network conditioned on a noise level and a class; also an ``nn.Module``.

    ``level``: log σ, or the time of a diffusion schedule, as the denoiser around it has it.  A label equal to the number of
    classes stands for no class.
    """

    def __call__(self, z: Tensor, level: Tensor, label: Tensor) -> Tensor:
        """``z (batch, channel, height, width)``, ``level (batch,)``, ``label (k * batch,)``: the batch under k labels in turn.

        Returns ``(k * batch, channel, height, width)``.
        """
        ...

    def modulate(self, level: Tensor, label: Tensor) -> list[Tensor]:
        """All that depends on level and class alone, ``(rows,)`` each: a tensor per block, ``(rows, …)``."""
        ...

    def under(self, z: Tensor, image: Tensor, modulation: list[Tensor]) -> Tensor:
        """Row r: image ``z[image[r]]`` under row r of a ready ``modulation``: ``(rows, channel, height, width)``."""
        ...


@runtime_checkable
class Ends(Protocol):
    """A network that names its first and its last convolution."""

    @property
    def ends(self) -> tuple[nn.Conv2d, nn.Conv2d]:
        """The convolutions that read the image and write the output."""
        ...


@runtime_checkable
class ClassEmbedding(Protocol):
    """A network that embeds its class labels."""

    @property
    def class_embedding(self) -> nn.Embedding:
        """A vector per class: ``(classes + 1, features)``, the last of no class."""
        ...


def ends_of(net: Backbone) -> tuple[nn.Conv2d, nn.Conv2d]:
    """The convolutions that read the image and write the output.  Raises ConfigError if the network does not name them."""
    if not isinstance(net, Ends):
        raise ConfigError(
            f"training.optimizer: found 'muon' for {type(net).__name__}, which does not name its first and last convolution; "
            "expected a network with the property `ends`. Set another optimizer"
        )
    return net.ends


def class_embedding_of(net: Backbone) -> nn.Embedding:
    """The embedding of the classes: ``(classes + 1, features)``.  Raises ConfigError if the network has none."""
    if not isinstance(net, ClassEmbedding):
        raise ConfigError(
            f"a start from p(x) or from another run for {type(net).__name__}, which has no embedding of the classes; expected "
            "a network with the property `class_embedding`. Set training.generative_steps to 0, and leave out --init"
        )
    return net.class_embedding
