"""Class-balanced sampling of training images, as a function of the seed and the step alone.

A step's randomness comes from its own generator, so an interrupted run needs no generator state to continue exactly.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Generator, Tensor

from bayescope.types import Labels


def seeded(*key: int) -> Generator:
    """A CPU generator that depends on all of ``key``."""
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)


class BalancedSampler:
    """Class-balanced drawing: each class as often as the others, each image of a class once per pass over the class."""

    def __init__(self, labels: Labels, n_classes: int, batch_size: int, seed: int) -> None:
        self._members = [np.flatnonzero(labels == k) for k in range(n_classes)]
        self._batch_size = batch_size
        self._order = lru_cache(maxsize=2 * n_classes)(self._shuffle)
        self._seed = seed

    def __call__(self, step: int) -> Tensor:
        """Indices ``(batch,)`` of the images of a step."""
        slots = range(step * self._batch_size, (step + 1) * self._batch_size)
        return torch.tensor([self._image(slot) for slot in slots])

    def _image(self, slot: int) -> int:
        turn, k = divmod(slot, len(self._members))
        epoch, place = divmod(turn, len(self._members[k]))
        return int(self._members[k][self._order(k, epoch)[place]])

    def _shuffle(self, k: int, epoch: int) -> list[int]:
        order: list[int] = torch.randperm(len(self._members[k]), generator=seeded(self._seed, k, epoch)).tolist()
        return order
