"""Class-balanced sampling of training images, as a function of the seed and the step alone.

A step's randomness comes from its own generator, so an interrupted run needs no generator state to continue exactly.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Generator, Tensor

from bayescope.types import Labels

SHARDS_IN_WINDOW = 64


def seeded(*key: int) -> Generator:
    """A CPU generator that depends on all of ``key``."""
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)


class BalancedSampler:
    """Class-balanced drawing: each class as often as the others, each image of a class once per pass over the class.

    ``shard``: as of :class:`ShardOrder`; 0: all images of a class in random order.
    """

    def __init__(self, labels: Labels, n_classes: int, batch_size: int, seed: int, shard: int = 0) -> None:
        self._members = [np.flatnonzero(labels == k) for k in range(n_classes)]
        self._batch_size, self._shard, self._seed = batch_size, shard, seed
        self._order = lru_cache(maxsize=2 * n_classes)(self._shuffle)

    def __call__(self, step: int) -> Tensor:
        """Indices ``(batch,)`` of the images of a step."""
        slots = range(step * self._batch_size, (step + 1) * self._batch_size)
        return torch.tensor([self._image(slot) for slot in slots])

    def _image(self, slot: int) -> int:
        turn, k = divmod(slot, len(self._members))
        epoch, place = divmod(turn, len(self._members[k]))
        return int(self._members[k][self._order(k, epoch)[place]])

    def _shuffle(self, k: int, epoch: int) -> "ShardOrder | list[int]":
        n, key = len(self._members[k]), (self._seed, k, epoch)
        if self._shard:
            return ShardOrder(n, self._shard, *key)
        order: list[int] = torch.randperm(n, generator=seeded(*key)).tolist()
        return order


class ShardOrder:
    """An order of the images 0 to ``n`` - 1 that mixes well and reads a few stretches of a file at a time.

    In a random order every image is read from another place, which a disk or a network is slow at once the file is larger than
    memory.  Here ``shard`` images next to each other are a shard.  Shards are put in random order, and up to 64 of them, a
    window, are mixed with each other image by image before the next window begins.  Where shards begin differs with the key.

    A permutation like any, ``order[place]`` being an image: each once.  Only the windows in use are worked out.
    """

    def __init__(self, n: int, shard: int, *key: int) -> None:
        generator = seeded(*key)
        n_shards = math.ceil(n / shard)
        self._n, self._shard, self._key = n, shard, key
        self._offset = int(torch.randint(n, (), generator=generator))
        self._shards = [*torch.randperm(n // shard, generator=generator).tolist(), n // shard]  # the last, not full or empty
        self._shards_in_window = math.ceil(n_shards / math.ceil(n_shards / SHARDS_IN_WINDOW))
        self._window = lru_cache(maxsize=2)(self._mixed)

    def __getitem__(self, place: int) -> int:
        window, within = divmod(place, self._shards_in_window * self._shard)
        return self._window(window)[within]

    def _mixed(self, window: int) -> list[int]:
        """Images of one window, in order."""
        first = window * self._shards_in_window
        chosen = self._shards[first : first + self._shards_in_window]
        images = torch.cat([torch.arange(s * self._shard, min((s + 1) * self._shard, self._n)) for s in chosen])
        order = torch.randperm(len(images), generator=seeded(*self._key, window))
        found: list[int] = ((images[order] + self._offset) % self._n).tolist()
        return found
