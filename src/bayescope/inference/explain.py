"""Explanation of a prediction: its evidence map, and the image as it would look under another class.

Evidence maps are those of :mod:`bayescope.inference.evidence_maps`.

**Counterfactuals.**  Carry the image up to a level σ, by noise or by inverting the probability flow
dz/dσ = (z - D(z; σ, y))/σ under its own class, and down again under another.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from bayescope.diffusion.sampling import flow
from bayescope.diffusion.schedules import ImageDenoiser, log_spaced
from bayescope.errors import ConfigError, DataError
from bayescope.inference.evidence_maps import EvidenceMap
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.predictions import ClassPrior, Predictions
from bayescope.types import Pixels

Unit = Literal["nats", "bans"]
PER_NAT: dict[Unit, float] = {"nats": 1.0, "bans": float(1 / np.log(10))}
"""How many of each unit of evidence a nat is; bans are powers of ten."""
_SIGMA_MIN = 0.01


@dataclass(frozen=True)
class Counterfactual:
    """``image`` as the other class would have it, and the ``reconstruction`` on the same road under its own class.

    Both ``(n, channel, height, width)`` in model units; ``sigma``: the noise level that they were carried up to.
    """

    image: Tensor
    reconstruction: Tensor
    sigma: float

    @property
    def change(self) -> Tensor:
        """What the other class changes, freed of what the road itself changes: the shape of ``image``."""
        return self.image - self.reconstruction


@dataclass(frozen=True)
class Explanation:
    """Why an image was classified as it was.

    Attributes
    ----------
    pixels
        The image as stored, ``(1, channel, height, width)``.
    class_names
        Of the model.
    predictions
        Of the image, all its noise levels scored.
    winner
        Number of the most probable class.
    against
        Number of the class that it is compared with, None for all others together.
    evidence_map
        Share of each pixel in the log-likelihood ratio of ``winner``, nats; adds up to it.
    is_raw
        Whether that ratio is uncalibrated: the model has no calibration, or none for two classes among several.
    counterfactual
        The image as class ``other`` would have it, if asked for.
    """

    pixels: Pixels
    class_names: tuple[str, ...]
    predictions: Predictions
    winner: int
    against: int | None
    evidence_map: EvidenceMap
    is_raw: bool
    counterfactual: Counterfactual | None = None

    @property
    def other(self) -> int:
        """Number of the class of the counterfactual: ``against``, or else the second most probable."""
        return _ranked(self.predictions)[1] if self.against is None else self.against

    def title(self, unit: Unit = "nats", digits: int = 4) -> str:
        """The sum of the map as text.

        Parameters
        ----------
        unit : str, default "nats"
            ``"nats"`` or ``"bans"``.
        digits : int, default 4
            Decimal places of the sum.

        Returns
        -------
        str
            For example ``"cancer against the rest: log-likelihood ratio +2.1972 nats"``.
        """
        rival = "the rest" if self.against is None else self.class_names[self.against]
        kind = "UNCALIBRATED log-likelihood ratio" if self.is_raw else "log-likelihood ratio"
        total = self.evidence_map.scaled(PER_NAT[unit]).total[0].sum()
        return f"{self.class_names[self.winner]} against {rival}: {kind} {total:+.{digits}f} {unit}"


def explain(
    model: LikelihoodModel,
    pixels: Pixels,
    class_prior: ClassPrior | None = None,
    against: str | int | None = None,
    counterfactual_sigma: float | None = None,
) -> Explanation:
    """Explain the classification of one image.

    The image is scored in full, twice: once for its probabilities, once for the map.

    Parameters
    ----------
    model
        A trained model.
    pixels
        The image as stored, ``(1, channel, height, width)``; see :func:`bayescope.inference.read.read_for_model`.
    class_prior
        Probability of each class, in the order of the model's classes or by their names (default: the model's own).
    against
        Name or number of the class that the most probable one is compared with (default: all others together).
    counterfactual_sigma
        Also draw the image as another class would have it, noised to this level, which is above 0.01; the higher, the more may
        change (default: no counterfactual).

    Returns
    -------
    Explanation
        With a map that adds up to the log-likelihood ratio of the most probable class.

    Raises
    ------
    DataError
        If ``pixels`` are not one image, or do not fit the model.
    ConfigError
        If the prior is no distribution, ``against`` is no class or the most probable class itself, or
        ``counterfactual_sigma`` is not above 0.01.

    Examples
    --------
    >>> import bayescope
    >>> from pathlib import Path
    >>> model = bayescope.load_model(Path("runs/breast"))  # doctest: +SKIP
    >>> image = bayescope.read_for_model(model, [Path("a.png")])  # doctest: +SKIP
    >>> bayescope.explain(model, image.pixels).evidence_map.total[0]  # (height, width), nats  # doctest: +SKIP
    """
    if len(pixels) != 1:
        raise DataError(f"{len(pixels)} images to explain; expected one. Explain one image at a time")
    rival = None if against is None else _class_number(model.class_names, against)
    predictions = model.classify(pixels, class_prior, disagreement_rate=0.0)
    winner = _ranked(predictions)[0]
    if rival == winner:
        others = ", ".join(name for k, name in enumerate(model.class_names) if k != winner)
        raise ConfigError(
            f"against {model.class_names[winner]}: that is the most probable class itself; expected one of: {others}"
        )
    evidence_map, is_raw = _map_of_ratio(model, pixels, predictions, winner, rival)
    found = Explanation(pixels, model.class_names, predictions, winner, rival, evidence_map, is_raw)
    return found if counterfactual_sigma is None else _with_counterfactual(model, found, counterfactual_sigma)


def _class_number(class_names: tuple[str, ...], wanted: str | int) -> int:
    number = class_names.index(wanted) if wanted in class_names else wanted
    if isinstance(number, str) or not 0 <= number < len(class_names):
        raise ConfigError(f"class {wanted!r}; expected one of: {', '.join(class_names)}")
    return number


def _ranked(predictions: Predictions) -> list[int]:
    """Numbers of the classes of the one image, the most probable first."""
    return predictions.log_posterior[0].argsort()[::-1].tolist()


def _map_of_ratio(
    model: LikelihoodModel, pixels: Pixels, predictions: Predictions, winner: int, against: int | None
) -> tuple[EvidenceMap, bool]:
    """The map that adds up to the ratio of class ``winner``, and whether this ratio is raw.

    An isotonic calibration is no sum over pixels: what it adds to the raw ratio is spread evenly, and a ratio of two among
    several classes stays raw.
    """
    calibration, maps = model.calibration, model.evidence_maps(pixels)
    if against is not None and len(model.class_names) > 2:
        return maps.between(winner, against), not (calibration.calibrated and calibration.is_additive)
    found = maps.against_rest(winner, predictions.class_prior)
    if not calibration.is_additive:
        gain = predictions.log_likelihood_ratio[0, winner] - predictions.raw_log_likelihood_ratio[0, winner]
        found = found.scaled(1.0, float(gain))
    return found, not calibration.calibrated


def _with_counterfactual(model: LikelihoodModel, found: Explanation, sigma: float) -> Explanation:
    x = model.checked(found.pixels)
    own, other = (torch.tensor([k], device=x.device) for k in (found.winner, found.other))
    return replace(found, counterfactual=counterfactual(model.denoiser, x, own, other, sigma, seed=model.config.seed))


@torch.inference_mode()
def counterfactual(
    denoiser: ImageDenoiser,
    x: Tensor,
    from_label: Tensor,
    to_label: Tensor,
    sigma: float,
    steps: int = 16,
    seed: int = 0,
    invert: bool = False,
) -> Counterfactual:
    """Images as they would look under another class.

    Parameters
    ----------
    denoiser : callable
        ``denoiser(z, sigma, label)``.
    x : Tensor of shape (n, channel, height, width)
        Images in model units.
    from_label : Tensor of shape (n,)
        Class of each image.
    to_label : Tensor of shape (n,)
        Class it is changed to.
    sigma : float
        Noise level up to which the image is carried; the higher, the more may change.
    steps : int, default 16
        Steps of the solver.
    seed : int, default 0
        Seed of the noise, which is the same for every image.
    invert : bool, default False
        Whether to invert the probability flow, which loses nothing, instead of adding noise.

    Returns
    -------
    Counterfactual
        Changed images.  Cost: ``4 steps`` network passes per image, ``6 steps`` if inverted.

    Raises
    ------
    ConfigError
        If sigma is not above 0.01 or steps below 1.
    """
    if not sigma > _SIGMA_MIN or steps < 1:
        raise ConfigError(
            f"counterfactual: sigma {sigma:g}, steps {steps}; expected sigma above {_SIGMA_MIN}, steps at least 1"
        )
    rising = log_spaced(_SIGMA_MIN, sigma, steps + 1).double()
    if invert:
        seen = flow(denoiser, x, from_label, rising)
    else:
        noise = torch.randn(x.shape[1:], generator=torch.Generator().manual_seed(seed), dtype=x.dtype)
        seen = x + sigma * noise.to(x.device)
    falling = rising.flip(0)
    return Counterfactual(flow(denoiser, seen, to_label, falling), flow(denoiser, seen, from_label, falling), sigma)
