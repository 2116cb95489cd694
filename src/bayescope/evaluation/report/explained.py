"""Explanations of selected images of a report as plain values: evidence map, likelihood ratio, and counterfactual."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayescope.data.dataset import ImageSet
from bayescope.inference.explain import explain
from bayescope.inference.model import LikelihoodModel
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
    """The images at ``chosen``, scored in full; ``advance`` is called after each."""
    found = {}
    for i in chosen:
        found[i] = _explain(model, images.pixels[i : i + 1], class_prior)
        advance(1)
    return found


def _explain(model: LikelihoodModel, pixels: Pixels, class_prior: Floats) -> Explained:
    found = explain(model, pixels, class_prior, counterfactual_sigma=SIGMA)
    predictions, winner = found.predictions, found.winner
    assert found.counterfactual is not None
    return Explained(
        winner,
        float(predictions.posterior[0, winner]),
        found.evidence_map.total[0],
        float(predictions.log_likelihood_ratio[0, winner]),
        float(predictions.standard_error[0, winner]),
        found.other,
        model.scale.to_display(found.counterfactual.image.float().cpu().numpy())[0],
        found.counterfactual.change[0].mean(dim=0).double().cpu().numpy(),
        "" if (decided := model.decide(predictions)) is None else decided.describe(model.class_names, 0),
    )
