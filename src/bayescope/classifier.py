"""The likelihood classifier as a scikit-learn estimator."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, check_random_state, validate_data

from bayescope.calibration import KINDS
from bayescope.calibration.affine import unchanged
from bayescope.calibration.base import too_few_images
from bayescope.config import Config, parse_config
from bayescope.data.arrays import channels_first, check_array, stacked
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.data.units import as_trained_on, doubt_of_units, in_training_units
from bayescope.data.unlabelled import unlabelled_images
from bayescope.errors import ConfigError, DataError, UncalibratedWarning, UnitsWarning
from bayescope.fitting.fit import fit
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.predictions import Predictions, check_prior
from bayescope.runs.folder import manifest_of, read_manifest, read_record, save_run
from bayescope.runs.model_file import load_model
from bayescope.runs.training_record import TrainingRecord
from bayescope.types import Floats, Labels, Pixels

_FEWEST_HELD_OUT = 8
_ESTIMATOR = "estimator"
_TRAINING = ("steps", "batch_size", "learning_rate", "optimizer", "generative_steps", "evidence_weight", "augmentation")
_EVIDENCE = ("levels", "noises", "level_weights", "calibration", "calibration_augmentation", "disagreement_rate", "max_passes")


class ScoreClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Class-conditional score model with denoising evidence as its likelihood, and Bayes' rule.

    ``X`` may be images ``(n, height, width)``, ``(n, channel, height, width)`` or rows ``(n, features)``: flattened images of
    ``image_shape=(channel, height, width)``, or without it a table, which is not augmented.  Arrays with channels last and
    volumes are refused (DataError).

    Images to classify have to be in the units of those it was fitted on.  The same numbers in another type are taken; floats of
    0 to 1 or standardised ones after integers, 16 bit after 8 and the like are refused (DataError); values unlike those of
    training in the same type are warned of (:class:`bayescope.errors.UnitsWarning`).  The rules:
    :func:`bayescope.data.units.in_training_units` and :func:`bayescope.data.dataset.unlike_training`.

    Parameters
    ----------
    steps, batch_size, learning_rate, optimizer, generative_steps, widths, evidence_weight, augmentation
        Training of the denoiser; see :class:`bayescope.config.TrainingConfig` and ``NetConfig``.
    levels, noises, level_weights, calibration, calibration_augmentation, disagreement_rate, max_passes
        Scoring; see :class:`bayescope.config.EvidenceConfig`.  At most ``classes x levels x noises`` network passes per image,
        as few as six where the winner is settled soon.  Assign ``disagreement_rate`` or ``max_passes`` anew at any time.
    validation_fraction
        Share of the training images held out, stratified, to fit the level weights.  With fewer than eight, or a class
        of one image, none is held out, the plain bound is used, every image is scored in full, and nothing is calibrated or
        tested for novelty.
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
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on images ``X`` with labels ``y``.  Raises ValueError (scikit-learn's checks), DataError or ConfigError.

        Warns with :class:`bayescope.errors.UncalibratedWarning` if too few images could be held out to calibrate on.
        """
        X = stacked(X)
        check_array(X, self.image_shape)
        X, y = validate_data(self, X, y, allow_nd=True, dtype="numeric")
        check_classification_targets(y)
        labelled = self._labelled(np.asarray(y))
        self.classes_, labels = np.unique(np.asarray(y)[labelled], return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(
                f"y holds one class only ({self.classes_[0]!r}); expected at least 2. Give images of another class too"
            )
        names = tuple(str(name) for name in self.classes_)
        prior = None if self.class_prior is None else check_prior(np.asarray(self.class_prior, dtype=float), names)
        everything = as_trained_on(channels_first(np.asarray(X), self.image_shape))
        pixels = everything if labelled.all() else everything[labelled]
        config = self._config(is_table=np.ndim(X) == 2 and self.image_shape is None)
        train, val = self._hold_out(labels, config.seed)
        none_held_out = len(val) == 0
        if none_held_out:
            evidence = config.evidence.model_copy(update={"level_weights": "bound", "calibration": "none"})
            val, config = train, config.model_copy(update={"evidence": evidence})
        images = ImageSet(pixels, labels.astype(np.int64), names, tuple(str(i) for i in range(len(pixels))))
        data = Dataset(images.subset(train), images.subset(val), images.subset(val), source="array")
        if not labelled.all():
            others = tuple(map(str, np.flatnonzero(~labelled)))
            data = replace(data, unlabelled=unlabelled_images(everything[~labelled], others, names))
        fitted = fit(data, config, prior)
        self.model_ = _rests_on_nothing(fitted, self.calibration) if none_held_out else fitted
        self.manifest_ = manifest_of(data)
        self.record_: TrainingRecord | None = TrainingRecord.of(data)
        if not self.model_.calibration.calibrated and self.calibration != "none":
            warnings.warn(self.model_.calibration.warning, UncalibratedWarning, stacklevel=2)
        self.class_prior_ = self.model_.class_prior
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable class of each image: ``(n,)``."""
        log_posterior = self.predict_log_proba(X)
        return self.classes_[log_posterior.argmax(axis=1)]

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Posterior probability of each class: ``(n, classes)``."""
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X: ArrayLike) -> Floats:
        """Log posterior of each class: ``(n, classes)``."""
        return self.classify(X).log_posterior

    def class_evidence(self, X: ArrayLike) -> Floats:
        """Log-likelihood under each class, scored in full, nats up to a constant common to the classes: ``(n, classes)``.

        Calibrated, so that with Bayes' rule it gives the posterior, unless the calibration is isotonic, of ratios alone, or
        there is none.
        """
        model, pixels = self._ready(X)
        evidence = model.predict_from_levels(model.level_evidence(pixels), self.class_prior_).evidence
        return model.calibration.class_evidence(evidence)

    def classify(self, X: ArrayLike, test_novelty: bool = False) -> Predictions:
        """Evidence, posterior, log-likelihood ratios with standard errors, and passes used until each image was settled.

        ``test_novelty``: also whether each image is like those of training, at up to a pass more for every noise level.
        """
        model, pixels = self._ready(X)
        return model.classify(pixels, self.class_prior_, self.disagreement_rate, self.max_passes, test_novelty=test_novelty)

    def sample(self, per_class: int = 1, steps: int = 24, seed: int = 0) -> Floats:
        """Samples from the model, in the units of ``X``: ``(classes, per_class, channel, height, width)``."""
        check_is_fitted(self)
        scale = self.model_.scale
        return (self.model_.sample(per_class, steps, seed) + 1) * 0.5 * (scale.high - scale.low) + scale.low

    def save(self, path: str | Path, force: bool = False) -> None:
        """Write the fitted model as a run folder, with the prior and stopping rule of now; ``force`` replaces a run.

        Raises RunError if the folder cannot be written, or holds anything but a run to replace.
        """
        check_is_fitted(self)
        classes, n_features = self.classes_, getattr(self, "n_features_in_", None)
        about = {"classes": classes.tolist(), "dtype": classes.dtype.str, "n_features_in": n_features}
        scoring = {"disagreement_rate": self.disagreement_rate, "max_passes": self.max_passes}
        evidence = parse_config({"evidence": self.model_.config.evidence.model_dump() | scoring}).evidence
        config = self.model_.config.model_copy(update={"evidence": evidence})
        prior = check_prior(np.asarray(self.class_prior_, dtype=float), self.model_.class_names)
        model = replace(self.model_, config=config, class_prior=prior)
        save_run(Path(path), model, self.manifest_ | {_ESTIMATOR: about}, self.record_, force)

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> Self:
        """A fitted classifier from a run folder, scoring on ``device``.

        Labels are those given to ``fit`` if :meth:`save` wrote the folder; the class names if ``bayescope train`` did.
        Raises RunError if it cannot be read; ConfigError if the device is not there.
        """
        model, manifest = load_model(Path(path), device), read_manifest(Path(path))
        classifier = cls(**_parameters(model) | {"device": device, "image_shape": model.image_shape})
        classifier.model_ = model
        classifier.class_prior_ = model.class_prior
        classifier.manifest_ = manifest
        classifier.record_ = read_record(Path(path))
        about = manifest.get(_ESTIMATOR, {"classes": model.class_names, "dtype": "U", "n_features_in": None})
        classifier.classes_ = np.array(about["classes"], dtype=about["dtype"])
        if about["n_features_in"] is not None:
            classifier.n_features_in_ = about["n_features_in"]
        return classifier

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.non_deterministic = False
        return tags

    def _config(self, is_table: bool) -> Config:
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(2**31 - 1)
        training, evidence = ({name: getattr(self, name) for name in names} for names in (_TRAINING, _EVIDENCE))
        if is_table and self.augmentation == "auto":
            training["augmentation"] = "none"
        net = {"widths": tuple(self.widths)}
        return parse_config({"seed": int(seed), "device": self.device, "net": net, "training": training, "evidence": evidence})

    def _labelled(self, y: NDArray[Any]) -> NDArray[np.bool_]:
        """Which of ``y (n,)`` are classes."""
        unlabelled = np.zeros(len(y), dtype=bool) if self.unlabelled is None else np.asarray(y == self.unlabelled)
        return ~unlabelled if len(np.unique(y[~unlabelled])) > 1 else np.ones(len(y), dtype=bool)

    def _ready(self, X: ArrayLike) -> tuple[LikelihoodModel, Pixels]:
        check_is_fitted(self)
        X = stacked(X)
        check_array(X, self.model_.image_shape)
        X = np.asarray(validate_data(self, X, reset=False, allow_nd=True, dtype="numeric"))
        pixels = channels_first(X, self.model_.image_shape)
        stored = in_training_units(pixels, self.model_.pixel_type, self.model_.scale, "X")
        if remark := doubt_of_units(pixels, stored, self.model_.scale, "X"):
            warnings.warn(remark, UnitsWarning, stacklevel=3)
        return self.model_, stored

    def _hold_out(self, labels: Labels, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        everyone = np.arange(len(labels))
        if not 0 <= self.validation_fraction < 1:
            raise ConfigError(
                f"validation_fraction {self.validation_fraction}; expected at least 0 and below 1. Give such a share"
            )
        n_held_out = round(self.validation_fraction * len(labels))
        counts = np.bincount(labels)
        if n_held_out < max(_FEWEST_HELD_OUT, len(counts)) or counts.min() < 2:
            return everyone, everyone[:0]
        train, val = train_test_split(everyone, test_size=n_held_out, stratify=labels, random_state=seed)
        return train, val


def _rests_on_nothing(model: LikelihoodModel, kind: str) -> LikelihoodModel:
    """The same without what was fitted on its own training images."""
    no_images = (0,) * len(model.class_names)
    raw = model.calibration
    if kind != "none":
        raw = unchanged(no_images, too_few_images(no_images, kind, KINDS[kind].fewest_images))
    return model.with_post_hoc(novelty=None, statistics=None, calibration=raw)


def _parameters(model: LikelihoodModel) -> dict[str, Any]:
    config = model.config
    return {
        **{name: getattr(config.training, name) for name in _TRAINING},
        **{name: getattr(config.evidence, name) for name in _EVIDENCE},
        "widths": config.net.widths,
        "class_prior": model.class_prior,
        "random_state": config.seed,
    }
