"""One prediction for all images of a patient, breast or study, with the share of each image in it.

The evidence of the images is added up by a :class:`~bayescope.calibration.pooling.GroupPooling`, which knows how far they
depend on each other.  Against several other classes, with r their posterior among themselves, the ratio is a mean of ratios and
a constant, which is spread evenly over the images, as in :mod:`bayescope.inference.evidence_maps`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import log_softmax, softmax

from bayescope.calibration.base import no_error
from bayescope.calibration.pooling import GroupPooling
from bayescope.data.groups import members_of
from bayescope.errors import ConfigError, DataError
from bayescope.evidence.level_weights import log_likelihood_ratio
from bayescope.inference.predictions import Predictions
from bayescope.types import Floats, Labels

if TYPE_CHECKING:
    from bayescope.inference.model import LikelihoodModel

_TINY = np.finfo(float).tiny


@dataclass(frozen=True)
class GroupPredictions:
    """Predictions of ``groups`` of images: patients, breasts or studies.

    Parameters
    ----------
    names : tuple of str
        Key of each group; blank for an image whose key is not known, a group of its own.
    members : tuple of ndarray
        Positions of the images of each group.
    class_names : tuple of str
        Names of the classes; two, ``no CLASS`` and ``CLASS``, if one image is enough for a class.
    class_prior : ndarray of shape (classes,)
        Probability of each class for a group.
    log_posterior : ndarray of shape (groups, classes)
        Log-posterior at ``class_prior``.
    log_likelihood_ratio : ndarray of shape (groups, classes)
        Log-likelihood ratio of each class against the rest, in nats.
    standard_error : ndarray of shape (groups, classes)
        Monte Carlo standard error of the ratio, in nats.
    shares : tuple of ndarray of shape (images, classes)
        What each image of a group adds to its ratio, in nats; they sum to it.
    pooling : GroupPooling
        How the evidence was added up.
    calibrated : bool
        Whether the ratios of the images are calibrated.
    """

    names: tuple[str, ...]
    members: tuple[Labels, ...]
    class_names: tuple[str, ...]
    class_prior: Floats
    log_posterior: Floats
    log_likelihood_ratio: Floats
    standard_error: Floats
    shares: tuple[Floats, ...]
    pooling: GroupPooling
    calibrated: bool

    def __len__(self) -> int:
        return len(self.names)

    @property
    def posterior(self) -> Floats:
        """Probability of each class, ``(groups, classes)``; rows sum to one."""
        return np.exp(self.log_posterior)

    @property
    def posterior_error(self) -> Floats:
        """Standard error of the posterior, p (1 - p) times that of the ratio: ``(groups, classes)``."""
        return self.posterior * (1 - self.posterior) * self.standard_error

    @property
    def rule(self) -> str:
        """What the class of a group is, as text."""
        return rule_of(self.pooling)

    def labels(self, labels: Labels, class_names: Sequence[str]) -> Labels:
        """True class of each group by its rule.

        Parameters
        ----------
        labels : ndarray of shape (n,)
            True class of each image.
        class_names : sequence of str
            Their names.

        Returns
        -------
        ndarray of shape (groups,)
            Positions in ``class_names`` of the groups.

        Raises
        ------
        DataError
            If the images of a group differ in class, and none is named of which one image is enough.
        """
        positive = self.pooling.positive
        if positive is not None:
            return np.array([(labels[found] == class_names.index(positive)).any() for found in self.members], dtype=np.int64)
        differing = sum(len(set(labels[found].tolist())) > 1 for found in self.members)
        if differing:
            raise DataError(
                f"{differing} of {len(self)} groups by {self.pooling.by} have images of different classes; expected one class "
                "in each. Name the class of which one image is enough (--any CLASS), or group them otherwise"
            )
        return labels[[found[0] for found in self.members]]

    def records(self, images: Sequence[str], warnings: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
        """One record for each group, as ``bayescope classify --by --json`` prints it.

        Parameters
        ----------
        images : sequence of str
            Names of the images.
        warnings : sequence of str, optional
            What else to know of all groups.

        Yields
        ------
        dict
            Plain numbers, those of the classes by their names.
        """
        known = [text for text in (self.pooling.warning, *warnings) if text]
        for g, name in enumerate(self.names):
            found = [images[i] for i in self.members[g]]
            yield {
                self.pooling.by: name or None,
                "images": found,
                "class": self.class_names[int(self.log_posterior[g].argmax())],
                "rule": self.rule,
                "prevalence": self._by_class(self.class_prior),
                "posterior": self._by_class(self.posterior[g]),
                "posterior_error": self._by_class(self.posterior_error[g]),
                "log_likelihood_ratio": self._by_class(self.log_likelihood_ratio[g]),
                "standard_error": self._by_class(self.standard_error[g]),
                "shares": {image: self._by_class(share) for image, share in zip(found, self.shares[g], strict=True)},
                "correlation": self.pooling.correlation,
                "effective_images": len(found) * self.pooling.weight(len(found)),
                "calibrated": self.calibrated and (self.pooling.fitted or len(found) == 1),
                "warnings": known,
            }

    def _by_class(self, values: Floats) -> dict[str, float]:
        return dict(zip(self.class_names, values.tolist(), strict=True))


def rule_of(pooling: GroupPooling) -> str:
    """What the class of a group is, as text.

    Parameters
    ----------
    pooling : GroupPooling
        How its images are added up.

    Returns
    -------
    str
        For example ``"a patient is malignant if any image is"``.
    """
    if pooling.positive is None:
        return f"all images of a {pooling.by} show the same class"
    return f"a {pooling.by} is {pooling.positive} if any image is"


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
    if positive is None and len(names_of_images) > 2 and not model.calibration.is_additive:
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
    )


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
