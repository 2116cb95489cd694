"""Estimators of log p(x|y) of a trained model: sequential, full and by the probability flow.

Each takes its settings from the model's configuration.  A new one is a function that satisfies :data:`Estimator`, and a line in
:data:`ESTIMATORS`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayescope.inference.likelihood import exact_likelihood
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.predictions import Predictions
from bayescope.types import Floats, Pixels


@dataclass(frozen=True)
class EstimatedEvidence:
    """Evidence of ``n`` images under each class.

    Attributes
    ----------
    values
        Log-likelihood in nats, up to a constant common to the classes: ``(n, classes)``.
    passes
        Network passes spent on each image, a backward one counted twice: ``(n,)``.
    """

    values: Floats
    passes: NDArray[np.int64]


Estimator = Callable[[LikelihoodModel, Pixels], EstimatedEvidence]
"""``(model, stored pixels (n, channel, height, width))`` to evidence."""


def sequential(model: LikelihoodModel, pixels: Pixels) -> EstimatedEvidence:
    """Calibrated denoising evidence by sequential scoring.

    Parameters
    ----------
    model : LikelihoodModel
        The model.
    pixels : ndarray of shape (n, channel, height, width)
        Stored images.

    Returns
    -------
    EstimatedEvidence
        Evidence and network passes.
    """
    return _calibrated(model, model.classify(pixels))


def full(model: LikelihoodModel, pixels: Pixels) -> EstimatedEvidence:
    """Calibrated denoising evidence by full evaluation.

    Parameters
    ----------
    model : LikelihoodModel
        The model.
    pixels : ndarray of shape (n, channel, height, width)
        Stored images.

    Returns
    -------
    EstimatedEvidence
        Evidence and network passes.
    """
    return _calibrated(model, model.predict_from_levels(model.level_evidence(pixels)))


def flow(model: LikelihoodModel, pixels: Pixels) -> EstimatedEvidence:
    """Log-likelihood by the probability flow, in model units and not calibrated.

    Parameters
    ----------
    model : LikelihoodModel
        The model.
    pixels : ndarray of shape (n, channel, height, width)
        Stored images.

    Returns
    -------
    EstimatedEvidence
        Evidence and network passes.
    """
    found = exact_likelihood(model, pixels)
    return EstimatedEvidence(found.log_likelihood, found.passes)


def _calibrated(model: LikelihoodModel, predictions: Predictions) -> EstimatedEvidence:
    return EstimatedEvidence(model.calibration.class_evidence(predictions.evidence), predictions.passes)


ESTIMATORS: dict[str, Estimator] = {"sequential": sequential, "full": full, "flow": flow}
"""By name."""
