"""Adaptation of a trained model to a site: all that held-out images teach is fitted again, on local labelled images."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from bayescope.data.dataset import ImageSet
from bayescope.errors import DataError
from bayescope.fitting.post_hoc import fitted_to, out_of_fold_posterior
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.predictions import Predictions
from bayescope.types import Floats

FEWEST_IMAGES, FEWEST_OF_A_CLASS = 40, 10
_TINY = 1e-12


@dataclass(frozen=True)
class Adaptation:
    """An adapted model, and predictions of the local images that show what adapting does for new ones.

    Parameters
    ----------
    model : LikelihoodModel
        The same network with level weights, calibration, trust tests and decisions fitted on all local images.
    before : Predictions
        Of the local images, by the model as it was.
    after : Predictions
        Of the local images, each by weights and a calibration fitted on local images of other patients.  Their standard errors
        are not known (NaN).
    """

    model: LikelihoodModel
    before: Predictions
    after: Predictions


def adapt(model: LikelihoodModel, local: ImageSet, callback: Callable[[int], None] = lambda images: None) -> Adaptation:
    """Fit level weights, calibration, stopping rule, trust tests and decisions on local labelled images.

    The network stays as it is.

    Parameters
    ----------
    model : LikelihoodModel
        The trained model.
    local : ImageSet
        Labelled images of the site that the model was not trained on, in its units; images of one patient stay in one fold.
    callback : callable, optional
        Called with the number of images scored since its last call.

    Returns
    -------
    Adaptation
        The adapted model, and predictions before and after.

    Raises
    ------
    DataError
        If there are fewer than 40 images, or fewer than 10 of a class.

    Examples
    --------
    >>> adapted = adapt(model, images).model  # doctest: +SKIP
    """
    counts = np.bincount(local.labels, minlength=len(model.class_names))
    if len(local) < FEWEST_IMAGES or counts.min() < FEWEST_OF_A_CLASS:
        described = ", ".join(f"{n} {name}" for n, name in zip(counts, model.class_names, strict=True))
        raise DataError(
            f"{len(local)} local images ({described}); expected {FEWEST_IMAGES} or more, {FEWEST_OF_A_CLASS} of each class. "
            "Label more images"
        )
    levels = model.level_evidence(local.pixels, callback)
    before = model.predict_from_levels(levels, pixels=local.pixels)
    after = _with_posterior(before, out_of_fold_posterior(model, [levels], local))
    return Adaptation(fitted_to(model, [levels], local), before, after)


def _with_posterior(before: Predictions, posterior: Floats) -> Predictions:
    """Predictions of the same images with another ``posterior (n, classes)`` at the same prior."""
    log_posterior, prior = np.log(np.maximum(posterior, _TINY)), before.class_prior
    log_rest = np.stack([logsumexp(np.delete(log_posterior, k, axis=1), axis=1) for k in range(len(prior))], axis=1)
    ratio = log_posterior - log_rest - np.log(prior / (1 - prior))
    unknown = np.full_like(ratio, np.nan)
    raw = before.raw_log_likelihood_ratio
    return Predictions(before.evidence, log_posterior, ratio, unknown, unknown, raw, prior, before.passes, calibrated=True)
