"""The classifier of whole patients, breasts or studies, from several images of each."""

import copy
import warnings
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_consistent_length, column_or_1d

from bayescope.calibration.pooling import GroupPooling
from bayescope.classifier import ScoreClassifier
from bayescope.data.groups import GROUPS
from bayescope.errors import DataError, UncalibratedWarning, lookup
from bayescope.inference.combine import combine, image_evidence
from bayescope.inference.groups import GroupPredictions
from bayescope.inference.predictions import Predictions
from bayescope.types import Floats


class StudyClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """One likelihood ratio for all images of a patient, breast or study.

    The evidence of the images is added up with a weight for their correlation, which is learned on held-out groups:
    :class:`bayescope.calibration.pooling.GroupPooling`.  One image alone keeps its own ratio.  Images are scored in full.

    Parameters
    ----------
    classifier : ScoreClassifier
        The fitted classifier of images.
    by : str, default "study"
        What the images of a group have in common: ``"patient"``, ``"breast"`` or ``"study"``.
    any_of : label, optional
        The class that a group is of if any of its images is; then a group either is of it (True) or not (False).  By default
        all images of a group are of one class.

    Attributes
    ----------
    pooling_ : GroupPooling
        How the evidence is added up; after :meth:`fit`.  Before, what the classifier learned on its own validation images is
        used, or else the mean of the images.

    Examples
    --------
    >>> study = StudyClassifier(ScoreClassifier.load("runs/mammography"), by="breast")  # doctest: +SKIP
    >>> study.fit(X_held_out, y_held_out, breasts_held_out)  # doctest: +SKIP
    >>> study.predict_proba(X, breasts)  # doctest: +SKIP
    """

    def __init__(self, classifier: ScoreClassifier, *, by: str = "study", any_of: Any = None) -> None:
        self.classifier = classifier
        self.by = by
        self.any_of = any_of

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike) -> Self:
        """Learn the correlation of the images on groups that the classifier was not trained on.

        Parameters
        ----------
        X : array-like
            Images, as for :class:`ScoreClassifier`.
        y : array-like of shape (n,)
            Label of each image.
        groups : array-like of shape (n,)
            Patient, breast or study of each image.

        Returns
        -------
        StudyClassifier
            The estimator itself.

        Raises
        ------
        DataError
            If the images of a group differ in label and ``any_of`` is not given, or a label is none of the classifier's.
        ConfigError
            If ``by`` or ``any_of`` is not possible.

        Warns
        -----
        UncalibratedWarning
            If there are few groups of two images or more; with fewer than 5 of a class the mean of the images is used.
        """
        predictions = self._of_images(X)
        found = self._combined(predictions, groups, None)
        known = self.classifier.classes_
        labels = column_or_1d(y)
        check_consistent_length(predictions.log_posterior, labels)
        if unknown := sorted(set(labels.tolist()) - set(known.tolist()), key=str):
            raise DataError(f"labels {unknown[:5]}; expected those of the classifier: {known.tolist()}. Leave these images out")
        names, positive = self.classifier.model_.class_names, self._positive
        truth = found.labels(np.searchsorted(known, labels).astype(np.int64), names)
        evidence = image_evidence(predictions, names, positive)
        self.pooling_ = GroupPooling.fit(evidence, found.members, truth, self.by, positive)
        if self.pooling_.warning:
            warnings.warn(self.pooling_.warning, UncalibratedWarning, stacklevel=2)
        return self

    @property
    def classes_(self) -> NDArray[Any]:
        """Labels of groups: those of the classifier, or False and True."""
        return self.classifier.classes_ if self.any_of is None else np.array([False, True])

    def classify(self, X: ArrayLike, groups: ArrayLike) -> GroupPredictions:
        """One ratio for each group, with its error, and the share of each image.

        Parameters
        ----------
        X : array-like
            Images, as for :class:`ScoreClassifier`.
        groups : array-like of shape (n,)
            Patient, breast or study of each image; any number of images each.

        Returns
        -------
        GroupPredictions
            In the order in which the groups first appear; its ``names`` are the groups as text.

        Raises
        ------
        DataError
            If the images do not fit those that the classifier was fitted on.
        ConfigError
            If ``by`` or ``any_of`` is not possible.
        """
        return self._combined(self._of_images(X), groups, getattr(self, "pooling_", None))

    def predict(self, X: ArrayLike, groups: ArrayLike) -> NDArray[Any]:
        """Predict the most probable class of each group.

        Parameters
        ----------
        X : array-like
            Images, as for :class:`ScoreClassifier`.
        groups : array-like of shape (n,)
            Patient, breast or study of each image.

        Returns
        -------
        ndarray of shape (groups,)
            Labels, in the order in which the groups first appear.

        Raises
        ------
        DataError, ConfigError
            As of :meth:`classify`.
        """
        return self.classes_[self.classify(X, groups).log_posterior.argmax(axis=1)]

    def predict_proba(self, X: ArrayLike, groups: ArrayLike) -> Floats:
        """Posterior probability of each class for each group, at the classifier's ``class_prior_``.

        Parameters
        ----------
        X : array-like
            Images, as for :class:`ScoreClassifier`.
        groups : array-like of shape (n,)
            Patient, breast or study of each image.

        Returns
        -------
        ndarray of shape (groups, classes)
            Probabilities in the order of ``classes_``; rows sum to one.

        Raises
        ------
        DataError, ConfigError
            As of :meth:`classify`.
        """
        return self.classify(X, groups).posterior

    @property
    def _positive(self) -> str | None:
        return None if self.any_of is None else str(self.any_of)

    def _of_images(self, X: ArrayLike) -> Predictions:
        lookup(GROUPS, self.by, "by")
        in_full = copy.copy(self.classifier)
        in_full.disagreement_rate, in_full.max_passes = 0.0, None
        return in_full.classify(X)

    def _combined(self, predictions: Predictions, groups: ArrayLike, pooling: GroupPooling | None) -> GroupPredictions:
        keys = ["" if pd.isna(key) else str(key) for key in column_or_1d(groups)]
        check_consistent_length(predictions.log_posterior, keys)
        return combine(self.classifier.model_, predictions, keys, self.by, self._positive, pooling)
