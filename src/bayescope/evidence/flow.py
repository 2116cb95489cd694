"""Likelihood by the probability flow (Song et al. 2021, §4.3; Chen et al. 2018), over log σ.

The flow ``dz/d log σ = z - D(z; σ, y)`` carries an image x at σ_min to z_max at σ_max, where its density is known::

    log p(x|y) = log N(z_max; m, σ_max² + v) + ∫ tr ∂(z - D(z; σ, y))/∂z d log σ

This is the density of the data blurred by σ_min, so σ_min should be small compared with the finest grain of the images (or x
be dequantized by about as much).  m and v are the data's mean and variance.  Leaving them out costs about
``m·(x - m)/(√v σ_max)`` nats, which differs between classes, and less than one per pixel times v/σ_max².  The probes of
the trace are the same for every image and class; each image and class has its own error control.

The solver is given ``u = z/c``, ``c² = σ_data² + σ²``, whose flow ``du/d log σ = (z - D)/c - u σ²/c²`` is constant for
white data of standard deviation σ_data instead of growing with σ.  This change of coordinate only saves steps.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bayescope.diffusion.divergence import DivergenceMethod, ExactDivergence
from bayescope.diffusion.ode import DormandPrince, Solver
from bayescope.diffusion.schedules import ImageDenoiser
from bayescope.errors import ConfigError
from bayescope.types import Floats

_SIGMA_DATA = 0.5
# Where the classes' components part, the flow bends within a small part of its path and is nearly constant before and after,
# so the step is bounded.  On mixtures of 35 pixels this is good to 0.02 nats, a tolerance of 1e-3 only to about 1.
_DEFAULT_SOLVER = DormandPrince(1e-4, max_step=1.0)


@dataclass(frozen=True)
class TerminalGaussian:
    """Gaussian approximation of the data, sufficient at σ_max; both broadcast against ``(classes, c, h, w)``.

    Parameters
    ----------
    mean : Tensor or float, default 0
        Mean of the pixels.
    variance : Tensor or float, default 0
        Variance of the pixels.
    """

    mean: Tensor | float = 0.0
    variance: Tensor | float = 0.0

    def log_prob(self, z: Tensor, sigma: float) -> Tensor:
        """Log density of data with noise.

        Parameters
        ----------
        z : Tensor of shape (n, classes, channel, height, width)
            Data with noise.
        sigma : float
            The noise level.

        Returns
        -------
        Tensor of shape (n, classes)
            Nats.
        """
        mean = torch.as_tensor(self.mean, dtype=z.dtype, device=z.device)
        total = torch.as_tensor(self.variance, dtype=z.dtype, device=z.device) + sigma**2
        return -0.5 * ((z - mean).square() / total + (2 * math.pi * total).log()).sum(dim=(2, 3, 4))


_BROAD = TerminalGaussian()


@dataclass(frozen=True)
class FlowLikelihood:
    """Log-likelihoods in nats of images in model units, where a pixel spans about [-1, 1].

    ``log_likelihood`` ``(n, classes)``; NaN where the adaptive solver did not arrive.
    ``standard_error`` ``(n, classes)`` over probes: 0 for the exact trace, NaN for a single probe.
    ``estimates`` ``(n, classes, probes)``, one per probe: the error of a difference of classes is the spread of the
    difference of these, and much smaller.
    ``passes`` ``(n,)``: network passes spent on the image, all classes; a backward pass counts as two.
    """

    log_likelihood: Floats
    standard_error: Floats
    estimates: Floats
    passes: NDArray[np.int64]


@torch.no_grad()
def flow_log_likelihood(
    denoiser: ImageDenoiser,
    x: Tensor,
    n_classes: int,
    sigmas: Tensor,
    divergence: DivergenceMethod,
    solver: Solver = _DEFAULT_SOLVER,
    terminal: TerminalGaussian = _BROAD,
    batch_size: int = 128,
    callback: Callable[[int], None] = lambda images: None,
) -> FlowLikelihood:
    """log p(x|y) of images under each class, by the probability flow.

    Parameters
    ----------
    denoiser : callable
        ``denoiser(z, sigma, label)``.
    x : Tensor of shape (n, channel, height, width)
        Images in model units.
    n_classes : int
        Number of classes, whose labels are 0 to ``n_classes`` - 1.
    sigmas : Tensor of shape (levels,)
        Increasing noise levels: ``heun`` and ``rk4`` step from each to the next,
        :class:`~bayescope.diffusion.ode.DormandPrince` uses only the first and last.
    divergence : DivergenceMethod
        :class:`~bayescope.diffusion.divergence.ExactDivergence` or :class:`~bayescope.diffusion.divergence.Hutchinson`, whose
        rows are those of a batch, one for each image and class.
    solver : Solver
        Solver; the tolerance of :class:`~bayescope.diffusion.ode.DormandPrince` is relative to the size of a pixel, and in
        nats per pixel, its ``max_step`` in log σ.
    terminal : TerminalGaussian
        Density at the last level.
    batch_size : int, default 128
        Images per batch; memory is bounded by ``batch_size * n_classes``.
    callback : callable, optional
        Called with the number of images of each finished batch.

    Returns
    -------
    FlowLikelihood
        Log-likelihoods and their errors.

    Raises
    ------
    ConfigError
        If ``sigmas`` are fewer than two, not positive or not increasing, or a count is below one.
    """
    if sigmas.ndim != 1 or len(sigmas) < 2 or not bool((sigmas > 0).all() and (sigmas.diff() > 0).all()):
        raise ConfigError(f"flow likelihood: noise levels {sigmas.tolist()}; expected two or more, positive and rising")
    if n_classes < 1 or batch_size < 1:
        raise ConfigError(f"flow likelihood: {n_classes} classes, batch size {batch_size}; expected at least 1 of each")
    batches = []
    for batch in x.split(batch_size):
        batches.append(_score(denoiser, batch, n_classes, sigmas, divergence, solver, terminal))
        callback(len(batch))
    estimates = np.concatenate([estimates for estimates, _ in batches])
    return FlowLikelihood(
        log_likelihood=estimates.mean(axis=2),
        standard_error=_standard_error(estimates, divergence),
        estimates=estimates,
        passes=np.concatenate([passes for _, passes in batches]),
    )


def _score(
    denoiser: ImageDenoiser,
    x: Tensor,
    n_classes: int,
    sigmas: Tensor,
    divergence: DivergenceMethod,
    solver: Solver,
    terminal: TerminalGaussian,
) -> tuple[Floats, NDArray[np.int64]]:
    """Estimates ``(n, classes, probes)`` and passes ``(n,)`` of one batch.

    The solver's state, one row per image and class: u, then for each probe the log-determinant of u in nats per pixel,
    so that one tolerance suits both.
    """
    pixels = x.shape[1:].numel()
    label = torch.arange(n_classes, device=x.device).repeat(len(x))
    passes = torch.zeros_like(label)
    low, high = float(sigmas[0]), float(sigmas[-1])

    def slope(log_sigma: Tensor, state: Tensor, rows: Tensor) -> Tensor:
        sigma = log_sigma.exp()
        spread = torch.hypot(sigma, torch.full_like(sigma, _SIGMA_DATA))[:, None]
        growth = (sigma[:, None] / spread).square()
        u = state[:, :pixels]
        asked = label[rows]
        z = (u * spread).to(x.dtype).unflatten(1, x.shape[1:])
        flow = divergence(lambda z: z - denoiser(z, sigma.to(z), asked), z, rows)
        passes[rows] += flow.passes
        return torch.cat([flow.value.flatten(1) / spread - growth * u, flow.traces / pixels - growth], dim=1)

    narrow, wide = math.hypot(_SIGMA_DATA, low), math.hypot(_SIGMA_DATA, high)
    start = (x.double() / narrow).flatten(1).repeat_interleave(n_classes, dim=0)
    start = torch.cat([start, start.new_zeros(len(start), divergence.estimates)], dim=1)
    end = solver(slope, start, sigmas.double().log().to(x.device)).state.unflatten(0, (-1, n_classes))
    z_max = (end[..., :pixels] * wide).unflatten(2, x.shape[1:])
    log_determinant = pixels * (end[..., pixels:] + math.log(wide / narrow))
    estimates = terminal.log_prob(z_max, high)[..., None] + log_determinant
    return estimates.cpu().numpy(), passes.unflatten(0, (-1, n_classes)).sum(dim=1).cpu().numpy()


def _standard_error(estimates: Floats, divergence: DivergenceMethod) -> Floats:
    if isinstance(divergence, ExactDivergence):
        return np.zeros(estimates.shape[:2])
    if divergence.estimates == 1:
        return np.full(estimates.shape[:2], np.nan)
    return estimates.std(axis=2, ddof=1) / math.sqrt(divergence.estimates)


def dequantization_width(low: float, high: float, step: float = 1.0) -> float:
    """Distance of neighbouring stored pixel values in model units, the width of the dequantization noise.

    Parameters
    ----------
    low, high : float
        Stored values mapped to -1 and +1.
    step : float, default 1
        Distance of gray levels, in stored values.

    Returns
    -------
    float
        The width.

    Raises
    ------
    ConfigError
        If high is not above low.

    Examples
    --------
    >>> dequantization_width(0, 255) * 255
    2.0
    """
    if not (high > low and step > 0):
        raise ConfigError(f"pixel scale {low} to {high} in steps of {step}; expected low < high and a positive step")
    return 2 * step / (high - low)


def bits_per_dim(log_likelihood: Floats, image_shape: tuple[int, ...], low: float, high: float, step: float = 1.0) -> Floats:
    """Bits per stored pixel value, ``-(log p(x) + d log w) / (d log 2)``, with w of :func:`dequantization_width`.

    Parameters
    ----------
    log_likelihood : ndarray
        Log-likelihood of dequantized images in model units, in nats.
    image_shape : tuple of int
        Shape of an image.
    low, high : float
        Stored values mapped to -1 and +1.
    step : float, default 1
        Distance of gray levels, in stored values.

    Returns
    -------
    ndarray
        Bits, of the shape of ``log_likelihood``.
    """
    width = dequantization_width(low, high, step)
    return -(log_likelihood / math.prod(image_shape) + math.log(width)) / math.log(2)
