"""Adds up the evidence of all images of a patient, breast or study to one prediction.

A :class:`~bayescope.calibration.pooling.GroupPooling` knows how far the images depend on each other.  Against several other
classes, with r their posterior among themselves, the ratio is a mean of ratios and a constant, which is spread evenly over the
images, as in :mod:`bayescope.inference.evidence_maps`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_softmax, softmax

from bayescope.calibration.base import no_error
from bayescope.calibration.pooling import GroupPooling
from bayescope.data.groups import members_of
from bayescope.errors import ConfigError
from bayescope.evidence.level_weights import log_likelihood_ratio
from bayescope.inference.groups import GroupPredictions
from bayescope.inference.predictions import Predictions
from bayescope.types import Floats

if TYPE_CHECKING:
    from bayescope.inference.model import LikelihoodModel

_TINY = np.finfo(float).tiny


def image_evidence(predictions: Predictions, class_names: Sequence[str], positive: str | None = None) -> Floats:
    """Calibrated evidence of each image, to be added up.

    Parameters
    ----------
    predictions : Predictions
        Of the images.
    class_names : sequence of str
        Names of the classes.
    positive : str, optional
        The class of which one image is enough.

    Returns
    -------
    ndarray of shape (n, classes)
        In nats, up to a constant for each image; two columns, against ``positive`` and for it, if it is given.
    """
    if positive is None:
        return predictions.log_posterior - np.log(predictions.class_prior)
    ratio = predictions.log_likelihood_ratio[:, class_names.index(positive)]
    return np.stack([np.zeros_like(ratio), ratio], axis=1)


def combine(
    model: "LikelihoodModel",
    predictions: Predictions,
    keys: Sequence[str],
    by: str,
    positive: str | None = None,
    pooling: GroupPooling | None = None,
) -> GroupPredictions:
    """Add up the evidence of the images of each patient, breast or study.

    Parameters
    ----------
    model : LikelihoodModel
        The model that made the predictions.
    predictions : Predictions
        Of the images, at any class prior, which is then that of a group.
    keys : sequence of str
        Patient, breast or study of each image; one that is blank is a group of its own.
    by : str
        What the keys are: ``"patient"``, ``"breast"`` or ``"study"``.
    positive : str, optional
        The class that a group belongs to if any of its images does (default: all images of a group show the same class).
    pooling : GroupPooling, optional
        How the evidence is added up (default: as the model learned it; the mean of the images if it did not).

    Returns
    -------
    GroupPredictions
        One prediction for each group, in the order in which they first appear.  That of one image has the ratio of the image.

    Raises
    ------
    ConfigError
        If ``positive`` is no class, or the model calibrates the ratios of several classes apart, so that images have no
        evidence to add up.

    Examples
    --------
    >>> found = combine(model, model.classify(pixels), ["1 L", "1 L", "1 R"], "breast")  # doctest: +SKIP
    >>> found.log_likelihood_ratio[0], found.shares[0]  # doctest: +SKIP
    """
    names_of_images = model.class_names
    if positive is not None and positive not in names_of_images:
        raise ConfigError(f"--any {positive}; expected one of the classes: {', '.join(names_of_images)}")
    if not adds_up(model, positive):
        raise ConfigError(
            f"a {model.calibration.kind} calibration of {len(names_of_images)} classes, each apart: images have no evidence to "
            "add up; expected affine. Name one class (--any CLASS), or train with evidence.calibration affine"
        )
    evidence, errors = image_evidence(predictions, names_of_images, positive), predictions.standard_error
    class_names, prior = names_of_images, predictions.class_prior
    if positive is not None:
        k = names_of_images.index(positive)
        class_names, prior = (f"no {positive}", positive), np.array([1 - prior[k], prior[k]])
        errors = errors[:, [k, k]]
    pooling = pooling or model.post_hoc.pooling_of(by, positive, len(class_names))
    names, members = members_of(keys)
    pooled = [pooling.shares(evidence[found]) for found in members]
    total = np.stack([of_images.sum(axis=0) for of_images in pooled])
    return GroupPredictions(
        names,
        members,
        class_names,
        prior,
        log_softmax(total + np.log(prior), axis=1),
        log_likelihood_ratio(total, prior, no_error)[0],
        np.stack([pooling.weight(len(found)) * np.sqrt((errors[found] ** 2).sum(axis=0)) for found in members]),
        tuple(_shares_of_ratios(of_images, prior) for of_images in pooled),
        pooling,
        predictions.calibrated,
        np.array([predictions.passes[found].sum() for found in members]),
    )


def adds_up(model: "LikelihoodModel", positive: str | None) -> bool:
    """Whether the images have evidence to add up: a calibration of several classes apart leaves none."""
    return positive is not None or len(model.class_names) <= 2 or model.calibration.is_additive


def _shares_of_ratios(evidence: Floats, class_prior: Floats) -> Floats:
    """Shares of images in the ratio of each class against the rest, from those in the evidence: ``(images, classes)``."""
    shares = np.empty_like(evidence)
    for k in range(len(class_prior)):
        rest = np.arange(len(class_prior)) != k
        log_prior = np.log(class_prior[rest] / class_prior[rest].sum())
        among = softmax(evidence[:, rest].sum(axis=0) + log_prior)
        divergence = (among * (np.log(np.maximum(among, _TINY)) - log_prior)).sum()
        shares[:, k] = evidence[:, k] - evidence[:, rest] @ among + divergence / len(evidence)
    return shares
