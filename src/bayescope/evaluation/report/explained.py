"""Why an image was answered as it was: its map, its ratio scored in full, and the image as another class would have it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bayescope.data.dataset import ImageSet
from bayescope.inference.explain import EvidenceMap, counterfactual
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.predictions import Predictions
from bayescope.types import Floats, Pixels

SIGMA = 1.0
"""The level that counterfactuals of a report are noised to."""


@dataclass(frozen=True)
class Explained:
    """Of one image: ``evidence (height, width)`` for ``winner``, nats, that adds up to its calibrated ``log_likelihood_ratio``.

    ``probability``: of the winner; ``standard_error``: nats; ``counterfactual``: 8 bit, ``(height, width[, 3])``, the image as
    class ``other`` has it, and the ``change`` of it ``(height, width)`` in model units; ``decided``: its prediction set, in
    words.
    """

    winner: int
    probability: float
    evidence: Floats
    log_likelihood_ratio: float
    standard_error: float
    other: int
    counterfactual: NDArray[np.uint8]
    change: Floats
    decided: str = ""


def explain_images(
    model: LikelihoodModel, images: ImageSet, class_prior: Floats, chosen: Sequence[int], advance: Callable[[int], None]
) -> dict[int, Explained]:
    """The images at ``chosen``, scored in full; ``advance`` hears of each."""
    found = {}
    for i in chosen:
        found[i] = _explain(model, images.pixels[i : i + 1], class_prior)
        advance(1)
    return found


def _explain(model: LikelihoodModel, pixels: Pixels, class_prior: Floats) -> Explained:
    predictions = model.classify(pixels, class_prior, disagreement_rate=0.0)
    *_, second, first = predictions.log_posterior[0].argsort().tolist()
    x = model.checked(pixels)
    own, other = (torch.tensor([k], device=x.device) for k in (first, second))
    found = counterfactual(model.denoiser, x, own, other, SIGMA, seed=model.config.seed)
    return Explained(
        first,
        float(predictions.posterior[0, first]),
        evidence_map(model, pixels, predictions, first).total[0],
        float(predictions.log_likelihood_ratio[0, first]),
        float(predictions.standard_error[0, first]),
        second,
        model.scale.to_display(found.image.float().cpu().numpy())[0],
        found.change[0].mean(dim=0).double().cpu().numpy(),
        "" if (decided := model.decide(predictions)) is None else decided.in_words(model.class_names, 0),
    )


def is_raw(model: LikelihoodModel, against: int | None = None) -> bool:
    """Whether the map's sum is an uncalibrated ratio: the model has no calibration, or none for two among several classes."""
    calibration = model.calibration
    of_two_among_several = against is not None and len(model.class_names) > 2
    return not calibration.calibrated or (of_two_among_several and not calibration.is_additive)


def evidence_map(
    model: LikelihoodModel, pixels: Pixels, predictions: Predictions, of: int, against: int | None = None, image: int = 0
) -> EvidenceMap:
    """Of one image ``(1, channel, height, width)``, number ``image`` of the answers, for class ``of``; adds up to its ratio.

    An isotonic calibration is no sum over pixels: what it adds to the raw ratio is spread evenly, and a ratio of two among
    several classes stays raw.
    """
    maps = model.evidence_maps(pixels)
    if against is not None and len(model.class_names) > 2:
        return maps.between(of, against)
    found = maps.against_rest(of, predictions.class_prior)
    if model.calibration.is_additive:
        return found
    gain = predictions.log_likelihood_ratio[image, of] - predictions.raw_log_likelihood_ratio[image, of]
    return found.scaled(1.0, float(gain))
