"""log p(x|y) of a trained model by the probability flow: the paper's estimator, with the same probes for every class.

A stored value stands for a cell as wide as a gray level; uniform noise of that width (dequantization, Theis et al. 2016) makes
of stored pixels an image with a density, and of the density bits per pixel.  Gray levels are those of the image's own depth.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from bayescope.config import FlowConfig
from bayescope.diffusion.divergence import DivergenceMethod, ExactDivergence, Hutchinson, gaussian_probes, rademacher_probes
from bayescope.diffusion.ode import DormandPrince, Solver, heun, rk4
from bayescope.diffusion.schedules import log_spaced
from bayescope.errors import ConfigError
from bayescope.evidence.denoising import rows_at_once
from bayescope.evidence.flow import TerminalGaussian, bits_per_dim, dequantization_width, flow_log_likelihood
from bayescope.inference.model import LikelihoodModel
from bayescope.types import Floats, Pixels

_HIDDEN_LEVELS = 2.0
_PROBES = {"rademacher": rademacher_probes, "gaussian": gaussian_probes}
_FIXED: dict[str, Solver] = {"heun": heun, "rk4": rk4}


@dataclass(frozen=True)
class ExactLikelihood:
    """Of ``n`` images under each class.

    ``log_likelihood``: nats in model units, where a pixel spans about [-1, 1], ``(n, classes)``; ``standard_error`` over
    probes, nats, of the difference from the best class, ``(n, classes)``; ``bits_per_dim``: ``(n, classes)``, NaN where pixels
    are stored as floats; ``passes``: network passes, a backward one counted twice, ``(n,)``.
    """

    log_likelihood: Floats
    standard_error: Floats
    bits_per_dim: Floats
    passes: NDArray[np.int64]


def exact_likelihood(
    model: LikelihoodModel,
    pixels: Pixels,
    settings: FlowConfig | None = None,
    batch_size: int | None = None,
    callback: Callable[[int], None] = lambda images: None,
    step: Floats | float = 1.0,
) -> ExactLikelihood:
    """Integrate stored pixels ``(n, channel, height, width)`` along the flow under every class.

    ``settings`` default to the model's.  Probes and dequantization are those of the model's seed.  ``step``: how far apart, in
    stored values, an image's own gray levels are, ``(n,)`` or one for all; more than 1 where it was stretched from fewer bits.
    Raises DataError for images that do not fit the model, ConfigError for a step that is not above 0.
    """
    settings = settings or model.config.flow
    if not (np.asarray(step) > 0).all():
        raise ConfigError(f"step {np.min(step):g} between gray levels; expected more than 0")
    steps = iter(np.broadcast_to(step, len(pixels)))
    parts = [
        _integrate(model, part, np.array([*islice(steps, len(part))], dtype=float), settings, batch_size, callback)
        for part in model.parts(pixels)
    ]
    columns = [(part.log_likelihood, part.standard_error, part.bits_per_dim, part.passes) for part in parts]
    return ExactLikelihood(*map(np.concatenate, zip(*columns, strict=True)))


def blur_warning(model: LikelihoodModel, settings: FlowConfig, step: float = 1.0) -> str:
    """What to tell of bits per pixel where ``sigma_min`` hides gray levels, ``step`` stored values apart, or nothing."""
    width = dequantization_width(model.scale.low, model.scale.high, step)
    hidden = settings.sigma_min / width
    if model.pixel_type == "float32" or hidden < _HIDDEN_LEVELS:
        return ""
    return (
        f"bits per pixel are those of images blurred by {hidden:.0f} gray levels: the flow starts at sigma_min "
        f"{settings.sigma_min:g}, a gray level is {width:.1g}. With a lower [flow] sigma_min the network is asked what it was "
        "rarely shown"
    )


def _integrate(
    model: LikelihoodModel,
    pixels: Pixels,
    step: Floats,
    settings: FlowConfig,
    batch_size: int | None,
    callback: Callable[[int], None],
) -> ExactLikelihood:
    scale, integer = model.scale, np.issubdtype(pixels.dtype, np.integer)
    x = model.checked(pixels)
    if integer:
        width = dequantization_width(scale.low, scale.high) * torch.from_numpy(step).to(x)
        x = x + width[:, None, None, None] * _centred_noise(model, len(x)).to(x)
    n_classes = len(model.class_names)
    levels = log_spaced(settings.sigma_min, settings.sigma_max, settings.steps + 1)
    mean = model.denoiser.class_means
    found = flow_log_likelihood(
        model.denoiser, x, n_classes, levels, _divergence(model, settings), solver(settings), TerminalGaussian(mean),
        batch_size or rows_at_once(model.image_shape, 4 * n_classes), callback,
    )  # fmt: skip
    bits = bits_per_dim(found.log_likelihood, model.image_shape, scale.low, scale.high) - np.log2(step)[:, None]
    return ExactLikelihood(
        found.log_likelihood,
        _error_of_difference(found.estimates, found.log_likelihood, settings),
        bits if integer else np.full_like(bits, np.nan),
        found.passes,
    )


def solver(settings: FlowConfig) -> Solver:
    """The stepper that the settings name."""
    if settings.solver == "adaptive":
        return DormandPrince(settings.tolerance, max_step=1.0)
    return _FIXED[settings.solver]


def _divergence(model: LikelihoodModel, settings: FlowConfig) -> DivergenceMethod:
    if settings.trace == "exact":
        return ExactDivergence()
    draw = _PROBES[settings.trace]
    return Hutchinson(draw(settings.probes, model.image_shape, Generator().manual_seed(model.config.seed)))


def _centred_noise(model: LikelihoodModel, n: int) -> Tensor:
    """The same for every image, uniform on [-1/2, 1/2]: ``(n, channel, height, width)``."""
    generator = Generator().manual_seed(model.config.seed + 1)
    return (torch.rand(model.image_shape, generator=generator) - 0.5).expand(n, *model.image_shape)


def _error_of_difference(estimates: Floats, log_likelihood: Floats, settings: FlowConfig) -> Floats:
    if settings.trace == "exact":
        return np.zeros_like(log_likelihood)
    if estimates.shape[2] == 1:
        return np.full_like(log_likelihood, np.nan)
    best = log_likelihood.argmax(axis=1)
    difference = estimates - estimates[np.arange(len(best)), best][:, None]
    return np.asarray(difference.std(axis=2, ddof=1) / np.sqrt(estimates.shape[2]))
