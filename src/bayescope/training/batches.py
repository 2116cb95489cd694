"""The batches of a training step: images, their noise, and which of them train classes, evidence or p(x).

A batch may be shared between processes, and handled in parts. All that is random is drawn of the whole batch, so that it does
not depend on how the batch is shared; images are read and augmented by the process that has them.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from bayescope.config import Config, NetConfig, TrainingConfig
from bayescope.data.dataset import ImageSet
from bayescope.data.pixel_scale import PixelScale
from bayescope.diffusion.nets.dropout import Rows
from bayescope.errors import ConfigError
from bayescope.training.augmentation import build_augmentation
from bayescope.training.learning_rate import Phase
from bayescope.training.losses import draw_levels
from bayescope.training.sampler import BalancedSampler
from bayescope.types import Labels, Pixels

_LARGE = 2**33  # bytes
_SHARD_IMAGES = 64


class Batch(NamedTuple):
    """Clean images, the same with noise, its levels, the classes, and which images also train without a class.

    ``rows``: of the whole batch; ``dropped_rows``: where those without a class are among all such of the whole batch.
    """

    x: Tensor
    z: Tensor
    sigma: Tensor
    label: Tensor
    dropped: Tensor
    rows: Rows
    dropped_rows: Rows

    @classmethod
    def draw(
        cls, x: Tensor, label: Tensor, settings: TrainingConfig, generator: Generator, rows: Rows | None = None
    ) -> "Batch":
        """Noise, levels and dropped classes of a whole batch; of its images, ``x`` and ``label`` are those at ``rows``."""
        rows = rows or Rows(0, len(x), len(x))
        n, own = rows.total, rows.slice
        offset = torch.rand((), generator=generator).item()
        sigma = draw_levels(settings, n, offset)[torch.randperm(n, generator=generator)][own]
        noise = torch.randn((n, *x.shape[1:]), generator=generator)[own]
        dropped = torch.rand(n, generator=generator) < settings.label_dropout
        z = x + sigma[:, None, None, None] * noise
        return cls(x, z, sigma, label, dropped[own], rows, rows.among(dropped))

    def part(self, index: int, parts: int) -> "Batch":
        """One of so many ``parts``, which differ by one image at most."""
        return self._take(Rows.share(len(self.x), index, parts))

    def split(self, n: int) -> "list[Batch]":
        """Batches of at most ``n`` images."""
        whole = len(self.x)
        return [self._take(Rows(first, min(n, whole - first), whole)) for first in range(0, whole, n)]

    def only_dropped(self) -> "Batch":
        """The images that also train without a class."""
        return self._changed(lambda field: field[self.dropped], self.dropped_rows, self.dropped_rows)

    def pinned(self) -> "Batch":
        """In memory from which a GPU copies while it computes."""
        return self._changed(torch.Tensor.pin_memory, self.rows, self.dropped_rows)

    def _take(self, rows: Rows) -> "Batch":
        dropped_rows = self.dropped_rows.within(rows.among(self.dropped))
        return self._changed(lambda field: field[rows.slice], self.rows.within(rows), dropped_rows)

    def _changed(self, change: Callable[[Tensor], Tensor], rows: Rows, dropped_rows: Rows) -> "Batch":
        x, z, sigma, label, dropped = map(change, (self.x, self.z, self.sigma, self.label, self.dropped))
        return Batch(x, z, sigma, label, dropped, rows, dropped_rows)


class StepBatches(NamedTuple):
    """``main`` teaches denoising; and the evidence, if ``teaches_evidence``, unless ``evidence`` has other levels for that.

    ``unlabelled``: images of any or no class that teach p(x) in addition, if any.
    """

    main: Batch
    teaches_evidence: bool = False
    evidence: Batch | None = None
    unlabelled: Batch | None = None

    def split(self, parts: int) -> "list[StepBatches]":
        """As many ``parts``, which differ by one image of each batch at most."""
        return [self] if parts == 1 else [self._each(partial(Batch.part, index=i, parts=parts)) for i in range(parts)]

    def pinned(self) -> "StepBatches":
        """In memory from which a GPU copies while it computes."""
        return self._each(Batch.pinned)

    def _each(self, change: Callable[[Batch], Batch]) -> "StepBatches":
        evidence, unlabelled = (batch and change(batch) for batch in (self.evidence, self.unlabelled))
        return StepBatches(change(self.main), self.teaches_evidence, evidence, unlabelled)


class Sampler:
    """Draws the batches of a step, as a function of the seed and the step alone; of these, the part of one process."""

    def __init__(
        self,
        train_set: ImageSet,
        unlabelled: ImageSet | None,
        config: Config,
        scale: PixelScale,
        process: int = 0,
        processes: int = 1,
    ) -> None:
        settings = config.training
        self._settings, self._scale, self._n_classes = settings, scale, train_set.n_classes
        self._process, self._processes = process, processes
        self._pixels = _Joined([train_set] if unlabelled is None else [train_set, unlabelled])
        self._labels = torch.tensor(train_set.labels)
        self._augment = build_augmentation(settings.augmentation, len(train_set), settings.intensity)
        shard = self._shard_images()
        self._labelled = BalancedSampler(train_set.labels, train_set.n_classes, settings.batch_size, config.seed, shard)
        self._any, self._unlabelled = (
            BalancedSampler(np.zeros(len(self._pixels), np.int64), 1, n, config.seed, shard)
            for n in (settings.batch_size, max(1, settings.batch_size // 2))
        )
        self._teaches_unlabelled = settings.generative_weight > 0 and (settings.generative_steps > 0 or unlabelled is not None)
        self._check_parts(config.net)

    def __call__(self, step: int, generator: Generator) -> StepBatches:
        phase = Phase.at(step, self._settings)
        if phase.generative:
            return StepBatches(self._without_classes(self._any(step), generator))
        rows, indices = self._own(self._labelled(step))
        x = self._images(indices, rows, generator)
        main = Batch.draw(x, self._labels[indices], self._settings, generator, rows)
        teaches_evidence = phase.teaches_evidence(self._settings)
        evidence = self._at_evidence_levels(main, generator) if teaches_evidence else None
        unlabelled = self._without_classes(self._unlabelled(step), generator) if self._teaches_unlabelled else None
        return StepBatches(main, teaches_evidence, evidence, unlabelled)

    def _shard_images(self) -> int:
        chosen = self._settings.shard_images
        return chosen if chosen is not None else _SHARD_IMAGES if self._pixels.nbytes > _LARGE else 0

    def _check_parts(self, net: NetConfig) -> None:
        settings, parts = self._settings, self._processes * self._settings.accumulate
        fewest = settings.batch_size // (2 if self._teaches_unlabelled else 1)
        if 1 < parts > fewest:
            half = f", or {fewest} without classes" if self._teaches_unlabelled else ""
            raise ConfigError(
                f"training.batch_size {settings.batch_size}{half}, in {parts} parts ({self._processes} processes, "
                f"training.accumulate {settings.accumulate}); expected an image or more in each. Raise training.batch_size, or "
                "lower --devices, --nodes or training.accumulate"
            )
        if parts > 1 and net.dropout and net.crop_snr:
            raise ConfigError(
                f"net.dropout {net.dropout:g} and net.crop_snr {net.crop_snr:g} in {parts} parts of a batch; expected one of "
                "them to be 0, since masks of cropped images would depend on the parts. Set one to 0, or train on one device "
                "with training.accumulate 1"
            )

    def _own(self, indices: Tensor) -> tuple[Rows, Tensor]:
        """Where the images of this process are in a batch, and which of its ``indices`` they have."""
        rows = Rows.share(len(indices), self._process, self._processes)
        return rows, indices[rows.slice]

    def _at_evidence_levels(self, main: Batch, generator: Generator) -> Batch | None:
        settings = self._settings.for_evidence
        return None if settings == self._settings else Batch.draw(main.x, main.label, settings, generator, main.rows)

    def _without_classes(self, indices: Tensor, generator: Generator) -> Batch:
        rows, own = self._own(indices)
        label = torch.full((len(own),), self._n_classes)
        return Batch.draw(self._images(own, rows, generator), label, self._settings, generator, rows)

    def _images(self, indices: Tensor, rows: Rows, generator: Generator) -> Tensor:
        x = torch.from_numpy(self._scale.to_model(self._pixels[indices.numpy()]))
        if self._augment is None:
            return x
        return self._augment.apply(x, self._augment.draw(rows.total, generator)[:, rows.slice])


class _Joined:
    """Pixels of image sets one after the other, without a copy of all."""

    def __init__(self, sets: Sequence[ImageSet]) -> None:
        self._parts = [images.pixels for images in sets]
        self._starts = np.cumsum([0, *map(len, self._parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in self._parts)

    def __getitem__(self, indices: Labels) -> Pixels:
        part = np.searchsorted(self._starts, indices, side="right") - 1
        return np.stack([self._parts[p][i - self._starts[p]] for p, i in zip(part, indices, strict=True)])
