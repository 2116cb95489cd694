"""Adaptation of a trained model to a site: all that held-out images teach is fitted again, on local labelled images."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from bayescope.calibration.cross_fit import FitWeights
from bayescope.calibration.pooling import GroupPooling
from bayescope.data.dataset import ImageSet
from bayescope.errors import DataError
from bayescope.evidence.denoising import LevelEvidence
from bayescope.fitting.post_hoc import fitted_to, out_of_fold_posterior
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.predictions import Predictions
from bayescope.metrics.classification import surprise
from bayescope.types import Floats, Labels

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
    """Fit calibration, stopping rule, trust tests, decisions and, where that helps, level weights on local labelled images.

    The network stays as it is.  Level weights are fitted on the local images only if that lowers the log loss out of fold: on
    few images it seldom does, and can do great harm.  How the images of a patient, breast or study are added up is learned
    again if there are enough local groups, and kept otherwise.

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
    _check(model, local)
    levels = model.level_evidence(local.pixels, callback)
    return adapt_to(model, levels, local)


def adapt_to(model: LikelihoodModel, levels: LevelEvidence, local: ImageSet) -> Adaptation:
    """As :func:`adapt`, from evidence that is there already.

    Parameters
    ----------
    model : LikelihoodModel
        The trained model.
    levels : LevelEvidence
        Evidence of the images by its ``level_evidence``.
    local : ImageSet
        The images.

    Returns
    -------
    Adaptation
        The adapted model, and predictions before and after.

    Raises
    ------
    DataError
        If there are too few images.
    """
    _check(model, local)
    before = model.predict_from_levels(levels, pixels=local.pixels)
    choices: list[FitWeights | None] = [lambda copies, labels: model.level_weights, None]
    posteriors = [out_of_fold_posterior(model, [levels], local, fit_weights) for fit_weights in choices]
    best = int(np.argmin([_log_loss(posterior, local.labels) for posterior in posteriors]))
    adapted = fitted_to(model, [levels], local, choices[best])
    adapted = adapted.with_post_hoc(poolings=_poolings(model, adapted))
    return Adaptation(adapted, before, _with_posterior(before, posteriors[best]))


def _poolings(model: LikelihoodModel, adapted: LikelihoodModel) -> tuple[GroupPooling, ...]:
    """Those of the local images, and of the model where these have too few groups to learn from."""
    learned_last = sorted([*model.post_hoc.poolings, *adapted.post_hoc.poolings], key=lambda one: one.fitted)
    return tuple({(one.by, one.positive): one for one in learned_last}.values())


def _check(model: LikelihoodModel, local: ImageSet) -> None:
    counts = np.bincount(local.labels, minlength=len(model.class_names))
    if len(local) < FEWEST_IMAGES or counts.min() < FEWEST_OF_A_CLASS:
        described = ", ".join(f"{n} {name}" for n, name in zip(counts, model.class_names, strict=True))
        raise DataError(
            f"{len(local)} local images ({described}); expected {FEWEST_IMAGES} or more, {FEWEST_OF_A_CLASS} of each class. "
            "Label more images"
        )


def _log_loss(posterior: Floats, labels: Labels) -> float:
    """Mean over classes."""
    loss = surprise(posterior, labels)
    return float(np.mean([loss[labels == k].mean() for k in np.unique(labels)]))


def _with_posterior(before: Predictions, posterior: Floats) -> Predictions:
    """Predictions of the same images with another ``posterior (n, classes)`` at the same prior."""
    log_posterior, prior = np.log(np.maximum(posterior, _TINY)), before.class_prior
    log_rest = np.stack([logsumexp(np.delete(log_posterior, k, axis=1), axis=1) for k in range(len(prior))], axis=1)
    ratio = log_posterior - log_rest - np.log(prior / (1 - prior))
    unknown = np.full_like(ratio, np.nan)
    raw = before.raw_log_likelihood_ratio
    return Predictions(before.evidence, log_posterior, ratio, unknown, unknown, raw, prior, before.passes, calibrated=True)
