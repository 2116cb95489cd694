"""The likelihood classifier as a scikit-learn estimator."""

import warnings
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from bayescope.data.arrays import channels_first, check_array, stacked
from bayescope.data.units import as_trained_on
from bayescope.diffusion.device import is_first_process
from bayescope.errors import UncalibratedWarning
from bayescope.fitting import estimator as parts
from bayescope.fitting.estimator_files import load_estimator, save_estimator
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.predictions import Predictions, check_prior
from bayescope.runs.folder import manifest_of
from bayescope.runs.training_record import TrainingRecord
from bayescope.types import Floats, Pixels


class ScoreClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Class-conditional score model with denoising evidence as its likelihood, and Bayes' rule.

    ``X`` may be images ``(n, height, width)``, ``(n, channel, height, width)`` or rows ``(n, features)``: flattened images of
    ``image_shape=(channel, height, width)``, or without it a table, which is not augmented.  Arrays with channels last and
    volumes are refused (DataError).

    Images to classify have to be in the units of those it was fitted on.  The same numbers in another type are taken; floats of
    0 to 1 or standardised ones after integers, 16 bit after 8 and the like are refused (DataError); values unlike those of
    training in the same type are warned of (:class:`bayescope.errors.UnitsWarning`).  The rules:
    :func:`bayescope.data.units.in_training_units` and :func:`bayescope.data.pixel_scale.unlike_training`.

    Parameters
    ----------
    steps, batch_size, learning_rate, optimizer, generative_steps, widths, evidence_weight, augmentation
        Training of the denoiser; see :class:`bayescope.config.TrainingConfig` and ``NetConfig``.
    levels, noises, level_weights, calibration, calibration_augmentation, disagreement_rate, max_passes
        Scoring; see :class:`bayescope.config.EvidenceConfig`.  At most ``classes x levels x noises`` network passes per image,
        as few as six where the winner is settled soon.  Both may be reassigned at any time.
    validation_fraction
        Share of the training images held out, stratified, to fit level weights and calibration; with ``groups`` by patient
        and rounded to 1/k, and unused where ``fit`` is given ``validation``.  With fewer than eight, or a class of one image,
        none is held out, the plain bound is used, every image is scored in full, and nothing is calibrated or tested for
        novelty.
    unlabelled
        Label in ``y`` of images that have none, as in scikit-learn's semi-supervised estimators: they teach what images look
        like, and are no class.  Where only one other label is there it is a class like any.  None: always a class.
    class_prior
        Probabilities of the classes, in the order of ``classes_``; None: equal.  Assign ``class_prior_`` after fitting
        to move to another prevalence without retraining.
    image_shape
        ``(channel, height, width)`` of images given as rows, or of more channels than 1, 3 or 4.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    devices
        Number of devices of this machine that ``fit`` trains on, each in a process of its own.  With several, the script is
        started once for each, all come to the same model, and ``save`` writes in the first only; not for notebooks.
    random_state
        Seed, RandomState or None.

    Attributes
    ----------
    classes_
        Labels as given to ``fit``, sorted: ``(classes,)``.
    class_prior_
        Probabilities of ``classes_`` that ``predict`` starts from.
    n_features_in_
        What scikit-learn counts in ``X``: its second axis.  Unknown in a run folder of ``bayescope train``.
    manifest_
        Source, fingerprint and notes of the training images, as :meth:`save` keeps them.
    record_
        Hashes of the training and validation images, as :meth:`save` keeps them: no command counts these as unseen.
    model_
        The trained :class:`bayescope.inference.model.LikelihoodModel`.

    Examples
    --------
    >>> classifier = ScoreClassifier(steps=2000).fit(X_train, y_train)  # doctest: +SKIP
    >>> classifier.predict_proba(X_test)  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        steps: int = 1500,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        optimizer: str = "adamw",
        generative_steps: int = 0,
        widths: tuple[int, ...] = (32, 64, 96),
        evidence_weight: float = 0.05,
        augmentation: str = "auto",
        levels: int = 10,
        noises: int = 4,
        level_weights: str = "fitted",
        calibration: str = "affine",
        calibration_augmentation: float = 1.0,
        disagreement_rate: float = 0.04,
        max_passes: int | None = None,
        validation_fraction: float = 0.1,
        unlabelled: int | None = -1,
        class_prior: ArrayLike | None = None,
        image_shape: tuple[int, int, int] | None = None,
        device: str = "auto",
        devices: int = 1,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.generative_steps = generative_steps
        self.widths = widths
        self.evidence_weight = evidence_weight
        self.augmentation = augmentation
        self.levels = levels
        self.noises = noises
        self.level_weights = level_weights
        self.calibration = calibration
        self.calibration_augmentation = calibration_augmentation
        self.disagreement_rate = disagreement_rate
        self.max_passes = max_passes
        self.validation_fraction = validation_fraction
        self.unlabelled = unlabelled
        self.class_prior = class_prior
        self.image_shape = image_shape
        self.device = device
        self.devices = devices
        self.random_state = random_state

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        groups: ArrayLike | None = None,
        validation: tuple[ArrayLike, ...] | None = None,
    ) -> Self:
        """Train on images.

        Parameters
        ----------
        X : (n, height, width), (n, channel, height, width) or (n, features)
            Images in any units, or rows.
        y : (n,)
            Labels.
        groups : (n,), optional
            Patient of each image.  All images of a patient are held out together, or not at all; calibration and intervals
            take them for one patient's.  Default: each image is another patient's.
        validation : (X, y) or (X, y, groups), optional
            Images, in the units of ``X``, to fit level weights and calibration on; then no image of ``X`` is held out.

        Returns
        -------
        ScoreClassifier
            The estimator itself.

        Raises
        ------
        ValueError
            If scikit-learn's checks of ``X``, ``y`` or ``groups`` fail.
        DataError
            If there is one class only, an array is not one of images, or a patient or label of ``validation`` does not fit.
        ConfigError
            If a parameter is out of range.

        Warns
        -----
        UncalibratedWarning
            If there are too few validation images to calibrate on.

        Examples
        --------
        >>> classifier.fit(X, y, groups=patients)  # doctest: +SKIP
        >>> classifier.fit(X, y, validation=(X_val, y_val))  # doctest: +SKIP
        """
        X = stacked(X)
        check_array(X, self.image_shape)
        X, y = validate_data(self, X, y, allow_nd=True, dtype="numeric")
        check_classification_targets(y)
        self.classes_, labels = parts.labelled_classes(np.asarray(y), self.unlabelled)
        names = tuple(str(name) for name in self.classes_)
        prior = None if self.class_prior is None else check_prior(np.asarray(self.class_prior, dtype=float), names)
        config = parts.configuration(self.get_params(deep=False), is_table=np.ndim(X) == 2 and self.image_shape is None)
        pixels = as_trained_on(channels_first(np.asarray(X), self.image_shape))
        images = parts.image_set(pixels, labels, names, groups)
        held_out = None if validation is None else parts.validation_images(self, validation, images)
        data = parts.training_data(images, held_out, self.validation_fraction, config.seed)
        self.model_ = parts.fit_dataset(data, config, prior)
        self.manifest_ = manifest_of(data)
        self.record_: TrainingRecord | None = TrainingRecord.of(data)
        if not self.model_.calibration.calibrated and self.calibration != "none":
            warnings.warn(self.model_.calibration.warning, UncalibratedWarning, stacklevel=2)
        self.class_prior_ = self.model_.class_prior
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict the most probable class of each image.

        Parameters
        ----------
        X : array-like
            Images or rows, as described for the class.

        Returns
        -------
        ndarray of shape (n,)
            Labels as given to ``fit``.

        Raises
        ------
        DataError
            If the images do not fit those of ``fit``.

        Examples
        --------
        >>> classifier.predict(X_test)  # doctest: +SKIP
        """
        log_posterior = self.predict_log_proba(X)
        return self.classes_[log_posterior.argmax(axis=1)]

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Posterior probability of each class at ``class_prior_``.

        Parameters
        ----------
        X : array-like
            Images or rows, as described for the class.

        Returns
        -------
        ndarray of shape (n, classes)
            Probabilities in the order of ``classes_``; rows sum to one.

        Raises
        ------
        DataError
            If the images do not fit those of ``fit``.
        """
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X: ArrayLike) -> Floats:
        """Logarithm of the posterior probability of each class at ``class_prior_``.

        Parameters
        ----------
        X : array-like
            Images or rows, as described for the class.

        Returns
        -------
        ndarray of shape (n, classes)
            Log-probabilities, in the order of ``classes_``.

        Raises
        ------
        DataError
            If the images do not fit those of ``fit``.
        """
        return self.classify(X).log_posterior

    def class_evidence(self, X: ArrayLike) -> Floats:
        """Log-likelihood of each image under each class, by full evaluation.

        Affinely calibrated evidence gives the posterior by Bayes' rule. The evidence is raw if the calibration is isotonic,
        which calibrates ratios only, or if there is none.

        Parameters
        ----------
        X : array-like
            Images or rows, as described for the class.

        Returns
        -------
        ndarray of shape (n, classes)
            Nats, up to a constant common to the classes.

        Raises
        ------
        DataError
            If the images do not fit those of ``fit``.
        """
        model, pixels = self._ready(X)
        evidence = model.predict_from_levels(model.level_evidence(pixels), self.class_prior_).evidence
        return model.calibration.class_evidence(evidence)

    def classify(self, X: ArrayLike, trust_tests: bool = False) -> Predictions:
        """Evidence, posterior, log-likelihood ratios with standard errors, and the number of network passes used.

        Parameters
        ----------
        X : array-like
            Images or rows, as described for the class.
        trust_tests : bool, default False
            Whether to run the trust tests, such as the novelty test; they take up to one more pass for every noise level.

        Returns
        -------
        Predictions
            Predictions of the images, at ``class_prior_``.

        Raises
        ------
        DataError
            If the images do not fit those of ``fit``.
        ConfigError
            If ``class_prior_``, ``disagreement_rate`` or ``max_passes`` is not possible.

        Examples
        --------
        >>> predictions = classifier.classify(X_test, trust_tests=True)  # doctest: +SKIP
        >>> predictions.log_likelihood_ratio  # doctest: +SKIP
        """
        model, pixels = self._ready(X)
        return model.classify(pixels, self.class_prior_, self.disagreement_rate, self.max_passes, trust_tests=trust_tests)

    def sample(self, per_class: int = 1, steps: int = 24, seed: int = 0) -> Floats:
        """Draw samples from the model.

        Parameters
        ----------
        per_class : int, default 1
            Number of samples of each class.
        steps : int, default 24
            Steps of the solver from noise to image.
        seed : int, default 0
            Seed of the noise; the i-th sample of every class starts from the same noise.

        Returns
        -------
        ndarray of shape (classes, per_class, channel, height, width)
            Images in the units of ``X``.
        """
        check_is_fitted(self)
        scale = self.model_.scale
        return (self.model_.sample(per_class, steps, seed) + 1) * 0.5 * (scale.high - scale.low) + scale.low

    def save(self, path: str | Path, force: bool = False) -> None:
        """Write the fitted model as a run folder, with the current ``class_prior_`` and stopping rule.

        Of several processes that trained together, the first writes and the others do nothing.

        Parameters
        ----------
        path : str or Path
            Folder to write.
        force : bool, default False
            Whether to replace a run in this folder.

        Raises
        ------
        RunError
            If the folder cannot be written, or contains anything but a run to replace.
        ConfigError
            If ``class_prior_``, ``disagreement_rate`` or ``max_passes`` is not possible.
        """
        check_is_fitted(self)
        if is_first_process():
            save_estimator(self, Path(path), force)

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> Self:
        """Load a fitted classifier from a run folder.

        Parameters
        ----------
        path : str or Path
            Folder written by :meth:`save` or ``bayescope train``.
        device : str, default "auto"
            Where to score: ``"cpu"``, ``"cuda"``, or ``"auto"`` for a GPU if there is one.

        Returns
        -------
        ScoreClassifier
            Its labels are those given to ``fit`` if :meth:`save` wrote the folder, and the class names if ``bayescope train``
            did.

        Raises
        ------
        RunError
            If the folder cannot be read.
        ConfigError
            If the device is not available.

        Examples
        --------
        >>> classifier = ScoreClassifier.load("runs/breast", device="cpu")  # doctest: +SKIP
        """
        return load_estimator(cls, Path(path), device)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.non_deterministic = False
        return tags

    def _ready(self, X: ArrayLike) -> tuple[LikelihoodModel, Pixels]:
        check_is_fitted(self)
        model = self.model_
        return model, parts.images_to_score(self, X, model.image_shape, model.pixel_type, model.scale)
