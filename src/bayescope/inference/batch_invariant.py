"""Batch-invariant scoring: the prediction of an image is the same, to the last bit, whichever images share its batch.

A network adds up in another order when its batch has another shape, and its results differ in the last bits.  Here it is called
in a few shapes only, ``n`` images under ``k`` classes each, and only in those that were found to give each image exactly what
it is given alone: one that does not is not used, in the worst case none but the image alone.  What is computed once the network
has answered does not depend on the batch: see :mod:`bayescope.evidence.rowwise`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bayescope.diffusion.denoiser import Denoiser, LevelDenoiser
from bayescope.inference.model import LikelihoodModel

_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
_PIXELS = 1 << 16
"""Of all rows of a batch: beyond, larger batches are hardly faster."""


@dataclass(frozen=True)
class Shapes:
    """Of network calls: ``rows`` for each image, its first class repeated to fill them, and how many ``images``, falling."""

    rows: int
    images: tuple[int, ...]


class BatchInvariantDenoiser(Denoiser):
    """A denoiser that calls another with the same result for an image in every batch.

    Parameters
    ----------
    inner : Denoiser
        The denoiser.
    shapes : dict of int to Shapes
        How to call it, by the number of classes of each image.
    """

    def __init__(self, inner: Denoiser, shapes: dict[int, Shapes]) -> None:
        torch.nn.Module.__init__(self)
        self.inner, self.shapes = inner, shapes
        self.net, self.n_classes = inner.net, inner.n_classes
        self.register_buffer("mean", inner.mean, persistent=False)
        self._levels: dict[float, LevelDenoiser] = {}

    @property
    def class_means(self) -> Tensor:
        """Those of the denoiser."""
        return self.inner.class_means

    def gaussian_log_likelihood(self, x: Tensor, sigma: float) -> Tensor:
        """Of each image on its own: ``(n, classes)``."""
        return torch.cat([self.inner.gaussian_log_likelihood(image[None], sigma) for image in x])

    def at_level(self, sigma: float) -> LevelDenoiser:
        """The denoiser of one level, prepared once."""
        if sigma not in self._levels:
            self._levels[sigma] = self._in_shapes(self.inner.at_level(sigma))
        return self._levels[sigma]

    def loss_weight(self, sigma: Tensor) -> Tensor:
        """That of the denoiser."""
        return self.inner.loss_weight(sigma)

    def _denoise(self, z: Tensor, sigma: Tensor, labels: Tensor) -> Tensor:
        return self.inner._denoise(z, sigma, labels)

    def _in_shapes(self, level: LevelDenoiser) -> LevelDenoiser:
        def denoise(z: Tensor, image: Tensor, label: Tensor) -> Tensor:
            found = z.new_empty((len(image), *z.shape[1:]))
            n_classes = torch.bincount(image, minlength=len(z))
            for k in n_classes[n_classes > 0].unique().tolist():
                for part in _parts((n_classes == k).nonzero()[:, 0], self.shapes[k].images):
                    rows = torch.isin(image, part)
                    found[rows] = _filled(level, z[part], label[rows].view(len(part), k), self.shapes[k].rows)
            return found

        return denoise


def batch_invariant(model: LikelihoodModel) -> LikelihoodModel:
    """A copy of a model whose predictions do not depend on the other images of a batch, to the last bit.

    Parameters
    ----------
    model : LikelihoodModel
        A trained model.

    Returns
    -------
    LikelihoodModel
        The model with a :class:`BatchInvariantDenoiser`, for the device it is on.  Choosing its shapes takes a few hundred
        network passes.
    """
    classes = range(1, len(model.class_names) + 1)
    exact = {k: Shapes(k, _agreeing_sizes(model.denoiser, float(model.sigmas[0]), k)) for k in classes}
    shapes = {k: max(exact[k], exact.get(k + 1, exact[k]), key=lambda found: found.images[0] > 1) for k in classes}
    return replace(model, denoiser=BatchInvariantDenoiser(model.denoiser, shapes).eval())


@torch.inference_mode()
def _agreeing_sizes(denoiser: Denoiser, sigma: float, k: int) -> tuple[int, ...]:
    """Numbers of images that ``denoiser`` gives the same under ``k`` classes each as it gives one alone, falling."""
    possible = [n for n in _SIZES if n == 1 or n * k * denoiser.mean.numel() <= _PIXELS]
    generator = torch.Generator().manual_seed(0)
    z = torch.randn((possible[-1], *denoiser.image_shape), generator=generator).to(denoiser.mean.device)
    level, label = denoiser.at_level(sigma), torch.arange(k, device=z.device)
    alone = torch.cat([_filled(level, image[None], label[None], k) for image in z])
    return tuple(
        n for n in reversed(possible) if n == 1 or torch.equal(_filled(level, z[:n], label.repeat(n, 1), k), alone[: n * k])
    )


def _filled(level: LevelDenoiser, z: Tensor, label: Tensor, rows: int) -> Tensor:
    """Images ``z (n, …)`` under their classes ``label (n, k)``, called with as many ``rows`` for each: ``(n * k, …)``."""
    n, k = label.shape
    label = torch.cat([label, label[:, :1].expand(n, rows - k)], dim=1)
    image = torch.arange(n, device=z.device).repeat_interleave(rows)
    return level(z, image, label.flatten()).unflatten(0, (n, rows))[:, :k].flatten(0, 1)


def _parts(images: Tensor, sizes: tuple[int, ...]) -> Iterator[Tensor]:
    """``images`` in parts of these sizes, the largest first."""
    for size in sizes:
        n_parts = len(images) // size
        yield from images[: n_parts * size].split(size)
        images = images[n_parts * size :]
