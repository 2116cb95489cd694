"""The batches of a training step: images, their noise, and which of them train classes, evidence or p(x)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Generator, Tensor

from bayescope.config import Config, TrainingConfig
from bayescope.data.dataset import ImageSet
from bayescope.data.pixel_scale import PixelScale
from bayescope.training.augmentation import build_augmentation
from bayescope.training.learning_rate import Phase
from bayescope.training.losses import draw_levels
from bayescope.training.sampler import BalancedSampler
from bayescope.types import Labels, Pixels


@dataclass(frozen=True)
class Batch:
    """Clean images, the same with noise, its levels, the classes, and which images also train without a class."""

    x: Tensor
    z: Tensor
    sigma: Tensor
    label: Tensor
    dropped: Tensor

    @classmethod
    def draw(cls, x: Tensor, label: Tensor, settings: TrainingConfig, generator: Generator) -> "Batch":
        n = len(x)
        offset = torch.rand((), generator=generator).item()
        sigma = draw_levels(settings, n, offset)[torch.randperm(n, generator=generator)]
        noise = torch.randn(x.shape, generator=generator)
        dropped = torch.rand(n, generator=generator) < settings.label_dropout
        return cls(x, x + sigma[:, None, None, None] * noise, sigma, label, dropped)

    def to(self, fabric: Fabric) -> "Batch":
        return Batch(*fabric.to_device(self._fields()))

    def split(self, n: int) -> "list[Batch]":
        """Batches of at most ``n`` images."""
        return [Batch(*part) for part in zip(*(field.split(n) for field in self._fields()), strict=True)]

    def only(self, chosen: Tensor) -> "Batch":
        """The images ``chosen (batch,)`` is true of."""
        return Batch(*(field[chosen] for field in self._fields()))

    def _fields(self) -> tuple[Tensor, ...]:
        return self.x, self.z, self.sigma, self.label, self.dropped


@dataclass(frozen=True)
class StepBatches:
    """``main`` teaches denoising; ``evidence`` the evidence: ``main`` itself, the same images at other levels, or nothing yet.

    ``unlabelled``: images of any or no class that teach p(x) in addition, if any.
    """

    main: Batch
    evidence: Batch | None = None
    unlabelled: Batch | None = None

    def to(self, fabric: Fabric) -> "StepBatches":
        main = self.main.to(fabric)
        evidence = main if self.evidence is self.main else self.evidence and self.evidence.to(fabric)
        return StepBatches(main, evidence, self.unlabelled and self.unlabelled.to(fabric))


class Sampler:
    """Draws the batches of a step, as a function of the seed and the step alone."""

    def __init__(self, train_set: ImageSet, unlabelled: ImageSet | None, config: Config, scale: PixelScale) -> None:
        settings = config.training
        self._settings, self._scale, self._n_classes = settings, scale, train_set.n_classes
        self._pixels = _Joined([train_set] if unlabelled is None else [train_set, unlabelled])
        self._labels = torch.tensor(train_set.labels)
        self._augment = build_augmentation(settings.augmentation, len(train_set), settings.intensity)
        self._labelled = BalancedSampler(train_set.labels, train_set.n_classes, settings.batch_size, config.seed)
        self._any, self._unlabelled = (
            BalancedSampler(np.zeros(len(self._pixels), np.int64), 1, n, config.seed)
            for n in (settings.batch_size, max(1, settings.batch_size // 2))
        )
        self._teaches_unlabelled = settings.generative_weight > 0 and (settings.generative_steps > 0 or unlabelled is not None)

    def __call__(self, step: int, generator: Generator) -> StepBatches:
        phase = Phase.at(step, self._settings)
        if phase.generative:
            return StepBatches(self._without_classes(self._any(step), generator))
        indices = self._labelled(step)
        x = self._images(indices, generator)
        main = Batch.draw(x, self._labels[indices], self._settings, generator)
        evidence = self._at_evidence_levels(main, generator) if phase.teaches_evidence(self._settings) else None
        unlabelled = self._without_classes(self._unlabelled(step), generator) if self._teaches_unlabelled else None
        return StepBatches(main, evidence, unlabelled)

    def _at_evidence_levels(self, main: Batch, generator: Generator) -> Batch:
        settings = self._settings.for_evidence
        return main if settings == self._settings else Batch.draw(main.x, main.label, settings, generator)

    def _without_classes(self, indices: Tensor, generator: Generator) -> Batch:
        label = torch.full((len(indices),), self._n_classes)
        return Batch.draw(self._images(indices, generator), label, self._settings, generator)

    def _images(self, indices: Tensor, generator: Generator) -> Tensor:
        x = torch.from_numpy(self._scale.to_model(self._pixels[indices.numpy()]))
        return self._augment(x, generator) if self._augment else x


class _Joined:
    """Pixels of image sets one after the other, without a copy of all."""

    def __init__(self, sets: Sequence[ImageSet]) -> None:
        self._parts = [images.pixels for images in sets]
        self._starts = np.cumsum([0, *map(len, self._parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, indices: Labels) -> Pixels:
        part = np.searchsorted(self._starts, indices, side="right") - 1
        return np.stack([self._parts[p][i - self._starts[p]] for p, i in zip(part, indices, strict=True)])
