"""A denoiser that scores images in its own way and leaves everything else to another denoiser."""

from torch import Tensor, nn

from bayescope.diffusion.denoiser import Denoiser
from bayescope.types import Floats


class WrappedDenoiser(Denoiser):
    """The base of denoisers that differ from an ``inner`` one in ``at_level`` only."""

    def __init__(self, inner: Denoiser) -> None:
        nn.Module.__init__(self)
        self.inner, self.net, self.n_classes = inner, inner.net, inner.n_classes
        self.register_buffer("mean", inner.mean, persistent=False)

    @property
    def class_means(self) -> Tensor:
        """Those of the inner denoiser."""
        return self.inner.class_means

    def gaussian_log_likelihood(self, x: Tensor, sigma: float) -> Tensor:
        """That of the inner denoiser: ``(batch, classes)``."""
        return self.inner.gaussian_log_likelihood(x, sigma)

    def relative_cost(self, sigmas: Floats) -> Floats:
        """That of the inner denoiser: the shape of ``sigmas``."""
        return self.inner.relative_cost(sigmas)

    def loss_weight(self, sigma: Tensor) -> Tensor:
        """That of the inner denoiser: ``(batch,)``."""
        return self.inner.loss_weight(sigma)

    def _denoise(self, z: Tensor, sigma: Tensor, labels: Tensor) -> Tensor:
        return self.inner._denoise(z, sigma, labels)
