"""Dropout whose masks do not depend on how a batch is shared between processes, or handled in parts."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Rows(NamedTuple):
    """Consecutive images of a batch: ``size`` of them from ``first`` on, of ``total``."""

    first: int
    size: int
    total: int

    @classmethod
    def share(cls, total: int, index: int, parts: int) -> "Rows":
        """One of so many parts of a batch, which differ by one image at most."""
        first, end = (total * i // parts for i in (index, index + 1))
        return cls(first, end - first, total)

    @property
    def slice(self) -> slice:
        """To index the batch with."""
        return slice(self.first, self.first + self.size)

    def within(self, part: "Rows") -> "Rows":
        """Where the ``part`` of these rows is in the batch."""
        return Rows(self.first + part.first, part.size, self.total)

    def among(self, chosen: Tensor) -> "Rows":
        """Where those ``chosen`` of these rows are among all that are ``chosen (total,)``."""
        return Rows(*(int(chosen[part].sum()) for part in (slice(self.first), self.slice, slice(None))))


_ROWS: ContextVar[Rows | None] = ContextVar("rows", default=None)


@contextmanager
def images_of(rows: Rows) -> Iterator[None]:
    """While this lasts, networks are given these ``rows`` of a batch, once or under several labels in turn."""
    token = _ROWS.set(rows)
    try:
        yield
    finally:
        _ROWS.reset(token)


class Dropout(nn.Dropout):
    """Dropout that draws for the whole batch of which it is given rows, see :func:`images_of`."""

    def forward(self, h: Tensor) -> Tensor:
        """``h (k * rows, channel, height, width)``, the rows under each of k labels in turn."""
        rows = _ROWS.get()
        if not (self.training and self.p) or rows is None or rows.size == rows.total:
            return super().forward(h)
        repeats = len(h) // rows.size
        of_batch = torch.ones_like(h[:1]).expand(repeats * rows.total, -1, -1, -1)
        kept = F.dropout(of_batch.contiguous(memory_format=_memory_format(h)), self.p)
        return h * kept.unflatten(0, (repeats, rows.total))[:, rows.slice].flatten(0, 1)


def _memory_format(h: Tensor) -> torch.memory_format:
    """As masks are drawn in the order of memory."""
    is_last = h.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if is_last else torch.contiguous_format
