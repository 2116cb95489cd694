"""log p(x|y) of a trained model by the probability flow, the paper's estimator, with the same probes for every class.

A stored value represents an interval as wide as a gray level; uniform noise of that width (dequantization, Theis et al. 2016)
gives stored pixel values a density, from which bits per pixel follow.  Gray levels are those of the image's own bit depth.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from bayescope.config import FlowConfig, parse_config
from bayescope.diffusion.divergence import DivergenceMethod, ExactDivergence, Hutchinson, gaussian_probes, rademacher_probes
from bayescope.diffusion.ode import DormandPrince, Solver, heun, rk4
from bayescope.diffusion.schedules import log_spaced
from bayescope.errors import ConfigError, lookup
from bayescope.evidence.denoising_errors import rows_per_batch
from bayescope.evidence.flow import FlowLikelihood, TerminalGaussian, bits_per_dim, dequantization_width, flow_log_likelihood
from bayescope.inference.model import LikelihoodModel
from bayescope.types import Floats, Pixels

_HIDDEN_LEVELS = 2.0

SOLVERS: dict[str, Callable[[FlowConfig], Solver]] = {
    "adaptive": lambda settings: DormandPrince(settings.tolerance, max_step=1.0),
    "heun": lambda settings: heun,
    "rk4": lambda settings: rk4,
}
"""By word of ``flow.solver``."""
TRACES: dict[str, Callable[[FlowConfig, tuple[int, ...], Generator], DivergenceMethod]] = {
    "exact": lambda settings, shape, generator: ExactDivergence(),
    "rademacher": lambda settings, shape, generator: Hutchinson(rademacher_probes(settings.probes, shape, generator)),
    "gaussian": lambda settings, shape, generator: Hutchinson(gaussian_probes(settings.probes, shape, generator)),
}
"""By word of ``flow.trace``: the trace for images of a shape ``(channel, height, width)``, probes drawn by a generator."""


@dataclass(frozen=True)
class ExactLikelihood:
    """Log-likelihood of ``n`` images under each class.

    Attributes
    ----------
    log_likelihood
        Nats in model units, where a pixel spans about [-1, 1]: ``(n, classes)``.
    standard_error
        Over probes, nats, of the difference from the best class: ``(n, classes)``; NaN with a single probe.
    bits_per_dim
        Bits per stored pixel: ``(n, classes)``; NaN where pixels are stored as floats.
    passes
        Network passes spent on each image, a backward one counted twice: ``(n,)``.
    warning
        What to know before comparing bits per pixel, or blank.
    """

    log_likelihood: Floats
    standard_error: Floats
    bits_per_dim: Floats
    passes: NDArray[np.int64]
    warning: str = ""

    def records(
        self, model: LikelihoodModel, names: Sequence[str], remarks: Sequence[Sequence[str]] | None = None
    ) -> Iterator[dict[str, Any]]:
        """One record for each image, as ``bayescope likelihood --json`` prints it.

        Parameters
        ----------
        model
            The model that the images were scored with.
        names
            Of the images, ``(n,)``.
        remarks
            Warnings of each image, ``(n,)`` (default: none).

        Yields
        ------
        dict
            Plain numbers, those of the classes by their names.
        """
        for i, name in enumerate(names):
            yield {
                "image": name,
                "log_likelihood": model.by_class(self.log_likelihood[i]),
                "standard_error": model.by_class(self.standard_error[i]),
                "bits_per_dim": model.by_class(self.bits_per_dim[i]),
                "passes": int(self.passes[i]),
                "warnings": list(remarks[i]) if remarks else [],
            }


def exact_likelihood(
    model: LikelihoodModel,
    pixels: Pixels,
    settings: FlowConfig | None = None,
    batch_size: int | None = None,
    callback: Callable[[int], None] = lambda images: None,
    step: Floats | float = 1.0,
    **changes: float | str | None,
) -> ExactLikelihood:
    """Integrate stored pixels along the probability flow under every class.

    Probes and dequantization noise are drawn from the model's seed.

    Parameters
    ----------
    model
        A trained model.
    pixels
        Images as stored, ``(n, channel, height, width)``.
    settings
        Of the integration (default: those of the model's configuration).
    batch_size
        Images integrated at once (default: as many as memory allows).
    callback
        Called with the number of images done since the last call.
    step
        How far apart the gray levels of an image are, in stored values: ``(n,)``, or one number for all; more than 1 where the
        image was stretched from fewer bits.
    **changes
        Single settings in place of those of ``settings``, by their names in :class:`bayescope.config.FlowConfig`, such as
        ``solver="heun", steps=32, probes=8``; None leaves a setting as it is.

    Returns
    -------
    ExactLikelihood
        Log-likelihoods in nats, bits per pixel, and the network passes spent.

    Raises
    ------
    DataError
        If the images do not fit the model.
    ConfigError
        If a setting is unknown or out of range, a solver or trace does not exist, or ``step`` is not above 0.

    Examples
    --------
    >>> from bayescope.inference.likelihood import exact_likelihood
    >>> exact_likelihood(model, pixels, probes=8).log_likelihood  # (n, classes), nats  # doctest: +SKIP
    """
    settings = flow_settings(model, settings, **changes)
    if not (np.asarray(step) > 0).all():
        raise ConfigError(f"step {np.min(step):g} between gray levels; expected more than 0")
    steps = iter(np.broadcast_to(step, len(pixels)))
    parts = [
        _integrate(model, part, np.array([*islice(steps, len(part))], dtype=float), settings, batch_size, callback)
        for part in model.parts(pixels)
    ]
    names = ("log_likelihood", "standard_error", "bits_per_dim", "passes")
    return ExactLikelihood(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names},
        warning=blur_warning(model, settings, float(np.min(step, initial=np.inf))),
    )


def flow_settings(model: LikelihoodModel, settings: FlowConfig | None = None, **changes: float | str | None) -> FlowConfig:
    """Settings of the integration.

    Parameters
    ----------
    model : LikelihoodModel
        The model, whose configuration gives defaults.
    settings : FlowConfig, optional
        Settings (default: those of the configuration).
    **changes
        Settings to replace, by name.

    Returns
    -------
    FlowConfig
        The settings.

    Raises
    ------
    ConfigError
        If a setting is unknown or out of range.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    return parse_config({"flow": (settings or model.config.flow).model_dump() | given}).flow


def blur_warning(model: LikelihoodModel, settings: FlowConfig, step: float = 1.0) -> str:
    """A warning about bits per pixel where ``sigma_min`` blurs gray levels, or blank.

    Parameters
    ----------
    model : LikelihoodModel
        The model.
    settings : FlowConfig
        Settings of the integration.
    step : float, default 1
        Distance of gray levels, in stored values.

    Returns
    -------
    str
        The warning.
    """
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
    solver = lookup(SOLVERS, settings.solver, "flow.solver")(settings)
    probes = Generator().manual_seed(model.config.seed)
    divergence = lookup(TRACES, settings.trace, "flow.trace")(settings, model.image_shape, probes)
    found = flow_log_likelihood(
        model.denoiser, x, n_classes, levels, divergence, solver, TerminalGaussian(mean),
        batch_size or rows_per_batch(model.image_shape, 4 * n_classes), callback,
    )  # fmt: skip
    bits = bits_per_dim(found.log_likelihood, model.image_shape, scale.low, scale.high) - np.log2(step)[:, None]
    return ExactLikelihood(
        found.log_likelihood,
        _error_of_difference(found),
        bits if integer else np.full_like(bits, np.nan),
        found.passes,
    )


def _centred_noise(model: LikelihoodModel, n: int) -> Tensor:
    """The same for every image, uniform on [-1/2, 1/2]: ``(n, channel, height, width)``."""
    generator = Generator().manual_seed(model.config.seed + 1)
    return (torch.rand(model.image_shape, generator=generator) - 0.5).expand(n, *model.image_shape)


def _error_of_difference(found: FlowLikelihood) -> Floats:
    """Standard error over probes of the difference from the best class; 0 of the exact trace, NaN of a single probe."""
    estimates = found.estimates
    if estimates.shape[2] == 1:
        return found.standard_error
    best = found.log_likelihood.argmax(axis=1)
    difference = estimates - estimates[np.arange(len(best)), best][:, None]
    return np.asarray(difference.std(axis=2, ddof=1) / np.sqrt(estimates.shape[2]))
