"""The network of Sarker et al. (arXiv 2502.17727): a U-Net that predicts the noise ε(x_t, t, y) in an image.

Time enters as Gaussian random Fourier features (Tancik et al. 2020; Song et al. 2021), the class label as a vector added
to them; every block adds a projection of the sum to its feature maps.  Details that the paper omits follow the small
score network of Song's tutorial, the source of its widths and embedding: one convolution, group normalisation and
SiLU a block, halving by stride.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bayescope.diffusion.nets.dropout import Dropout

EMBEDDING = 256
_FREQUENCY_SCALE = 30.0
_GROUPS = 32


class TimeEmbedding(nn.Module):
    """Time and class label as one vector: ``(batch, 256)``.  Label ``n_classes`` stands for no class.

    The frequencies are drawn once, from N(0, 30²), and kept with the weights.
    """

    frequencies: Tensor

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", _FREQUENCY_SCALE * torch.randn(EMBEDDING // 2))
        self.time = nn.Linear(EMBEDDING, EMBEDDING)
        self.label = nn.Embedding(n_classes + 1, EMBEDDING)

    def forward(self, t: Tensor, label: Tensor) -> Tensor:
        phase = 2 * math.pi * t[:, None] * self.frequencies
        return F.silu(self.time(torch.cat([phase.sin(), phase.cos()], dim=1)) + self.label(label))


class Block(nn.Module):
    """Convolution, the embedding added to each feature map, group normalisation, SiLU."""

    def __init__(self, width_in: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width_in, width, 3, stride, padding=1)
        self.embedding = nn.Linear(EMBEDDING, width)
        self.norm = nn.GroupNorm(math.gcd(_GROUPS, max(1, width // 4)), width)

    def forward(self, h: Tensor, shift: Tensor) -> Tensor:
        """``shift``: what ``self.embedding`` makes of the embedding, ``(rows, width)``."""
        return self.shifted(self.conv(h), shift)

    def shifted(self, convolved: Tensor, shift: Tensor) -> Tensor:
        """All after the convolution, which knows neither class nor time."""
        return F.silu(self.norm(convolved + shift[:, :, None, None]))


class Stage(nn.Module):
    """The blocks of one resolution; only the first changes width and size."""

    def __init__(self, width_in: int, width: int, blocks: int, stride: int = 1) -> None:
        super().__init__()
        first = Block(width_in, width, stride)
        self.blocks = nn.ModuleList([first, *(Block(width, width) for _ in range(blocks - 1))])

    @property
    def first(self) -> Block:
        return self.blocks[0]  # type: ignore[return-value]

    def forward(self, h: Tensor, shifts: Iterator[Tensor]) -> Tensor:
        return self.shifted(self.first.conv(h), shifts)

    def shifted(self, convolved: Tensor, shifts: Iterator[Tensor]) -> Tensor:
        """All after the first block's convolution."""
        h = self.first.shifted(convolved, next(shifts))
        for block in list(self.blocks)[1:]:
            h = block(h, next(shifts))
        return h


class PaperUNet(nn.Module):
    """ε(x_t, t, y), zero until it is trained; any image side.

    With the paper's widths 32-64-128-256-512, one block each, one channel and two classes: 4.4 million parameters.
    """

    def __init__(self, channels: int, n_classes: int, widths: Sequence[int], blocks: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = TimeEmbedding(n_classes)
        coarser = list(pairwise(widths))
        self.enter = Stage(channels, widths[0], blocks)
        self.down = nn.ModuleList(Stage(fine, coarse, blocks, stride=2) for fine, coarse in coarser)
        self.dropout = Dropout(dropout)
        self.up = nn.ModuleList(Stage(coarse + fine, fine, blocks) for fine, coarse in reversed(coarser))
        self.head = nn.Conv2d(widths[0], channels, 3, padding=1)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        """The noise in ``x_t (batch, channel, height, width)`` at times ``t (batch,)`` under ``label (k * batch,)``.

        Returns ``(k * batch, channel, height, width)``: the batch under each of k labels in turn.
        """
        repeats = len(label) // len(x_t)
        convolved = torch.cat([self.enter.first.conv(x_t)] * repeats)
        return self._after_entering(convolved, self.modulate(t.repeat(repeats), label))

    @property
    def ends(self) -> tuple[nn.Conv2d, nn.Conv2d]:
        """The convolutions of the network's input and output."""
        return self.enter.first.conv, self.head

    @property
    def class_embedding(self) -> nn.Embedding:
        """The embedding of each class: ``(classes + 1, features)``, the last for no class."""
        return self.embedding.label

    def modulate(self, t: Tensor, label: Tensor) -> list[Tensor]:
        """What time and class add to each block's feature maps, in the order of the blocks: ``(rows, width)`` each."""
        embedding = self.embedding(t, label)
        blocks = [block for part in (self.enter, self.down, self.up) for block in part.modules() if isinstance(block, Block)]
        return [block.embedding(embedding) for block in blocks]

    def under(self, x_t: Tensor, image: Tensor, modulation: list[Tensor]) -> Tensor:
        """Row r: image ``x_t[image[r]]`` under row r of a ready ``modulation``: ``(rows, channel, height, width)``."""
        return self._after_entering(self.enter.first.conv(x_t)[image], modulation)

    def _after_entering(self, convolved: Tensor, shifts: list[Tensor]) -> Tensor:
        following = iter(shifts)
        h = self.enter.shifted(convolved, following)
        skips = []
        for stage in self.down:
            skips.append(h)
            h = stage(h, following)
        h = self.dropout(h)
        for stage in self.up:
            skip = skips.pop()
            h = F.interpolate(h, size=skip.shape[-2:], mode="nearest")
            h = stage(torch.cat([h, skip], dim=1), following)
        return self.head(h)
