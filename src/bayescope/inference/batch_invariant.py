"""Batch-invariant scoring: the prediction of an image is the same, to the last bit, whichever images share its batch.

A network adds up in another order when its batch has another shape, and its results differ in the last bits.  Here it is called
in a few shapes only, ``n`` images under ``k`` classes each, and only in those that were found to give each image exactly what
it is given alone: one that does not is not used, in the worst case none but the image alone.  What is computed once the network
has answered does not depend on the batch: see :mod:`bayescope.evidence.rowwise`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from bayescope.diffusion.denoiser import Denoiser, LevelDenoiser, LevelsDenoiser
from bayescope.diffusion.wrapped import WrappedDenoiser
from bayescope.inference.model import LikelihoodModel

SIZES = (*range(2, 9), *range(10, 17, 2), *range(20, 33, 4), *range(40, 65, 8))
"""Numbers of images that are tried, close enough together that two or three calls make up any number."""
_PIXELS = 1 << 16
"""Pixels of all rows of a batch: beyond, as with more rows than the largest of the sizes, batches are hardly faster."""


class BatchInvariantDenoiser(WrappedDenoiser):
    """A denoiser that calls another with the same result for an image in every batch.

    Parameters
    ----------
    inner : Denoiser
        The denoiser.
    sizes : dict of int to tuple of int
        How many images to call it with, falling to 1, by the number of classes of each image.
    """

    def __init__(self, inner: Denoiser, sizes: dict[int, tuple[int, ...]]) -> None:
        super().__init__(inner)
        self.sizes = sizes
        self._levels: dict[float, LevelDenoiser] = {}
        self._several: dict[tuple[float, ...], LevelsDenoiser] = {}

    def gaussian_log_likelihood(self, x: Tensor, sigma: float) -> Tensor:
        """Of each image on its own: ``(n, classes)``."""
        return torch.cat([self.inner.gaussian_log_likelihood(image[None], sigma) for image in x])

    def at_level(self, sigma: float | Tensor) -> LevelDenoiser:
        """The denoiser of one level, prepared once."""
        key = float(sigma)
        if key not in self._levels:
            self._levels[key] = self._in_shapes(self.inner.at_level(key))
        return self._levels[key]

    def at_levels(self, sigmas: Sequence[float]) -> LevelsDenoiser:
        """The denoiser of several levels, prepared once; each image of a call is under one class.

        An inner one that takes the levels one by one would be called in shapes that were not tried: this one takes them so.
        """
        key = tuple(sigmas)
        if key not in self._several:
            mixed = self.inner.can_mix(key)
            self._several[key] = self._several_in_shapes(self.inner.at_levels(key)) if mixed else super().at_levels(key)
        return self._several[key]

    def _several_in_shapes(self, levels: LevelsDenoiser) -> LevelsDenoiser:
        def denoise(z: Tensor, level: Tensor, image: Tensor, label: Tensor) -> Tensor:
            def at_own_level(part: Tensor) -> LevelDenoiser:
                return lambda z, row, label: levels(z, level[image[part]], row, label)

            parts = _parts(torch.arange(len(image), device=z.device), self.sizes[1])
            return torch.cat([_called(at_own_level(part), z[image[part]], label[part, None]) for part in parts])

        return denoise

    def _in_shapes(self, level: LevelDenoiser) -> LevelDenoiser:
        def denoise(z: Tensor, image: Tensor, label: Tensor) -> Tensor:
            found = z.new_empty((len(image), *z.shape[1:]))
            n_classes = torch.bincount(image, minlength=len(z))
            for k in n_classes[n_classes > 0].unique().tolist():
                for part in _parts((n_classes == k).nonzero()[:, 0], self.sizes[k]):
                    rows = torch.isin(image, part)
                    found[rows] = _called(level, z[part], label[rows].view(len(part), k))
            return found

        return denoise


def batch_invariant(model: LikelihoodModel, sizes: Sequence[int] = SIZES) -> LikelihoodModel:
    """A copy of a model whose predictions do not depend on the other images of a batch, to the last bit.

    Parameters
    ----------
    model : LikelihoodModel
        A trained model.
    sizes : sequence of int
        Numbers of images to try, rising; the last is also the largest number of rows of a batch.

    Returns
    -------
    LikelihoodModel
        The model with a :class:`BatchInvariantDenoiser`, for the device it is on.  Choosing its shapes takes a few hundred
        network passes.
    """
    classes, sigmas = range(1, len(model.class_names) + 1), model.sigmas.tolist()
    agreeing = {k: _agreeing_sizes(model.denoiser, sigmas, k, sizes) for k in classes}
    return replace(model, denoiser=BatchInvariantDenoiser(model.denoiser, agreeing).eval())


@torch.inference_mode()
def _agreeing_sizes(denoiser: Denoiser, sigmas: Sequence[float], k: int, tried: Sequence[int]) -> tuple[int, ...]:
    """Numbers of images of ``tried``, falling, that ``denoiser`` gives the same under ``k`` classes as it gives one alone.

    At every level: at a single one, sizes that round otherwise may agree by chance.
    """
    largest = max(1, min(tried[-1], _PIXELS // denoiser.mean.numel()) // k)
    sizes = [n for n in reversed(tried) if n <= largest]
    generator = torch.Generator().manual_seed(0)
    for sigma in sigmas:
        z = sigma * torch.randn((largest, *denoiser.image_shape), generator=generator).to(denoiser.mean.device)
        level, label = denoiser.at_level(sigma), torch.arange(k, device=z.device)
        alone = torch.cat([_called(level, image[None], label[None]) for image in z])
        sizes = [n for n in sizes if torch.equal(_called(level, z[:n], label.repeat(n, 1)), alone[: n * k])]
    return (*sizes, 1)


def _called(level: LevelDenoiser, z: Tensor, label: Tensor) -> Tensor:
    """Images ``z (n, …)`` under the classes of each, ``label (n, k)``: ``(n * k, …)``.

    A single image is given twice, and so is a single row: libraries treat a batch of one otherwise than all others.
    """
    n, k = label.shape
    rows, label = torch.arange(n, device=z.device).repeat_interleave(k), label.flatten()
    if n == 1:
        z = z.repeat(2, 1, 1, 1)
    if len(rows) == 1:
        rows, label = rows.repeat(2), label.repeat(2)
    return level(z, rows, label)[: n * k]


def _parts(images: Tensor, sizes: tuple[int, ...]) -> Iterator[Tensor]:
    """``images`` in parts of these sizes, the largest first."""
    for size in sizes:
        while len(images) >= size:
            yield images[:size]
            images = images[size:]
