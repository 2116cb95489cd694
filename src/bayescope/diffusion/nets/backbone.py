"""What a denoiser asks of a raw network.

A new network is one module with a class that satisfies :class:`Backbone`, and one line in ``NETWORKS`` of
:mod:`bayescope.diffusion.denoiser`.
"""

from typing import Protocol

from torch import Tensor, nn


class Backbone(Protocol):
    """A network conditioned on a noise level and a class; also an ``nn.Module``.

    ``level``: log σ, or the time of a diffusion schedule, as the denoiser around it has it.  A label equal to the number of
    classes stands for no class.
    """

    @property
    def ends(self) -> tuple[nn.Conv2d, nn.Conv2d]:
        """The convolutions that read the image and write the answer."""
        ...

    @property
    def class_embedding(self) -> nn.Embedding:
        """What the network is told of a class: ``(classes + 1, features)``, the last being no class."""
        ...

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
