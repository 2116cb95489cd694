"""Helpers of the scikit-learn estimator: its parameters as a configuration, and its data set from arrays."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, check_consistent_length, check_random_state, column_or_1d, validate_data

from bayescope.calibration import KINDS
from bayescope.calibration.affine import identity_calibration
from bayescope.calibration.base import too_few_images
from bayescope.config import Config, parse_config
from bayescope.data.arrays import channels_first, stacked
from bayescope.data.arrays import check_array as check_images
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.data.pixel_scale import PixelScale
from bayescope.data.splits import hold_out
from bayescope.data.units import doubt_of_units, in_training_units
from bayescope.data.unlabelled import UNLABELLED
from bayescope.errors import DataError, UnitsWarning
from bayescope.fitting.fit import fit
from bayescope.inference.model import LikelihoodModel
from bayescope.types import Floats, Labels, Pixels

TRAINING = ("steps", "batch_size", "learning_rate", "optimizer", "generative_steps", "evidence_weight", "augmentation")
EVIDENCE = ("levels", "noises", "level_weights", "calibration", "calibration_augmentation", "disagreement_rate", "max_passes")
_N_NAMED = 3


def configuration(parameters: Mapping[str, Any], is_table: bool) -> Config:
    """The configuration that parameters of the estimator describe; rows of a table are not augmented.

    Raises ConfigError if one is out of range.
    """
    seed = parameters["random_state"]
    if not isinstance(seed, int | np.integer):
        seed = check_random_state(seed).randint(2**31 - 1)
    training, evidence = ({name: parameters[name] for name in names} for names in (TRAINING, EVIDENCE))
    if is_table and training["augmentation"] == "auto":
        training["augmentation"] = "none"
    net = {"widths": tuple(parameters["widths"])}
    settings = {"seed": int(seed), "device": parameters["device"], "devices": parameters["devices"]}
    return parse_config(settings | {"net": net, "training": training, "evidence": evidence})


def parameters_of(model: LikelihoodModel) -> dict[str, Any]:
    """Parameters of the estimator that a model was trained with."""
    config = model.config
    return {
        **{name: getattr(config.training, name) for name in TRAINING},
        **{name: getattr(config.evidence, name) for name in EVIDENCE},
        "widths": config.net.widths,
        "class_prior": model.class_prior,
        "random_state": config.seed,
    }


def labelled_classes(y: NDArray[Any], unlabelled: Any) -> tuple[NDArray[Any], Labels]:
    """Sorted classes in ``y (n,)``, and the number of each label among them, -1 for ``unlabelled``: ``(n,)``.

    ``unlabelled`` is a class like any if it is None or there is only one other.  Raises DataError if there is one class only.
    """
    without_label = np.zeros(len(y), dtype=bool) if unlabelled is None else np.asarray(y == unlabelled)
    if len(np.unique(y[~without_label])) < 2:
        without_label[:] = False
    classes, numbers = np.unique(y[~without_label], return_inverse=True)
    if len(classes) < 2:
        raise DataError(f"y contains one class only ({classes[0]!r}); expected at least 2. Give images of another class too")
    labels = np.full(len(y), UNLABELLED, dtype=np.int64)
    labels[~without_label] = numbers
    return classes, labels


def image_set(pixels: Pixels, labels: Labels, class_names: Sequence[str], groups: ArrayLike | None) -> ImageSet:
    """Images ``(n, channel, height, width)``, numbered; ``groups (n,)`` or None.

    Raises ValueError (scikit-learn's checks) for groups that are not one an image, or missing.
    """
    patients = None
    if groups is not None:
        whose = column_or_1d(check_array(groups, input_name="groups", ensure_2d=False, dtype=None))
        check_consistent_length(pixels, whose)
        patients = tuple(map(str, whose))
    return ImageSet(pixels, labels, tuple(class_names), tuple(map(str, range(len(labels)))), patients)


def images_to_score(
    estimator: BaseEstimator,
    X: ArrayLike,
    image_shape: tuple[int, int, int],
    pixel_type: str,
    scale: PixelScale,
    name: str = "X",
) -> Pixels:
    """``X`` as images ``(n, channel, height, width)`` in the units of those that the ``estimator`` is fitted on.

    Raises ValueError (scikit-learn's checks) or DataError if they are none of such; warns with UnitsWarning if in doubt.
    """
    X = stacked(X)
    check_images(X, image_shape)
    X = np.asarray(validate_data(estimator, X, reset=False, allow_nd=True, dtype="numeric"))
    pixels = channels_first(X, image_shape)
    stored = in_training_units(pixels, pixel_type, scale, name)
    if remark := doubt_of_units(pixels, stored, scale, name):
        warnings.warn(remark, UnitsWarning, stacklevel=4)
    return stored


def validation_images(estimator: Any, validation: Sequence[ArrayLike], train: ImageSet) -> ImageSet:
    """Images ``(X, y)`` or ``(X, y, groups)`` in the units of ``train``, with labels of ``estimator.classes_``.

    Raises as :func:`images_to_score`; DataError also for a label that is none of the classes.
    """
    if len(validation) not in (2, 3):
        raise DataError(f"validation of {len(validation)} parts; expected (X, y) or (X, y, groups). Give two or three arrays")
    X, given, *groups = validation
    scale, classes = PixelScale.of(train.pixels), estimator.classes_
    pixels = images_to_score(estimator, X, train.image_shape, train.pixels.dtype.name, scale, "validation")
    y = column_or_1d(given)
    check_consistent_length(pixels, y)
    if unknown := sorted(set(y.tolist()) - set(classes.tolist()), key=str):
        raise DataError(
            f"validation: labels {unknown[:_N_NAMED]}; expected those of y, {classes.tolist()}. Leave out images with others"
        )
    labels = np.searchsorted(classes, y).astype(np.int64)
    return image_set(pixels, labels, train.class_names, groups[0] if groups else None)


def training_data(images: ImageSet, validation: ImageSet | None, fraction: float, seed: int) -> Dataset:
    """``images`` with the ``validation`` images, or without any with a ``fraction`` held out, see :func:`split_images`.

    Raises as :func:`with_validation`.
    """
    return split_images(images, fraction, seed) if validation is None else with_validation(images, validation)


def split_images(images: ImageSet, fraction: float, seed: int) -> Dataset:
    """``images``, some with the label -1, with a ``fraction`` of the labelled held out: for validation, and in place of a test.

    Validation is empty where :func:`bayescope.data.splits.hold_out` holds none out.
    """
    labelled = np.flatnonzero(images.labels != UNLABELLED)
    groups = None if images.groups is None else [images.groups[i] for i in labelled]
    train, val = hold_out(images.labels[labelled], fraction, seed, groups)
    return _dataset(images, labelled[train], images.subset(labelled[val]))


def with_validation(images: ImageSet, validation: ImageSet) -> Dataset:
    """All of ``images`` to train on.  Raises DataError if a patient is among the ``validation`` images too."""
    if shared := sorted(set(images.groups or ()) & set(validation.groups or ())):
        more = ", …" if len(shared) > _N_NAMED else ""
        raise DataError(
            f"validation: {len(shared)} patients also in the training images ({', '.join(shared[:_N_NAMED])}{more}); expected "
            "none. Leave their images out of one of the two"
        )
    return _dataset(images, np.flatnonzero(images.labels != UNLABELLED), validation)


def fit_dataset(data: Dataset, config: Config, class_prior: Floats | None) -> LikelihoodModel:
    """Train on ``data``; without validation images, a model of the plain bound with nothing fitted to its training images."""
    if len(data.val):
        return fit(data, config, class_prior)
    kind, evidence = config.evidence.calibration, {"level_weights": "bound", "calibration": "none"}
    uncalibrated = config.model_copy(update={"evidence": config.evidence.model_copy(update=evidence)})
    model = fit(replace(data, val=data.train), uncalibrated, class_prior)
    no_images = (0,) * len(model.class_names)
    raw = model.calibration
    if kind != "none":
        raw = identity_calibration(no_images, too_few_images(no_images, kind, KINDS[kind].fewest_images))
    return model.with_post_hoc(tests={}, statistics=None, calibration=raw)


def _dataset(images: ImageSet, train: NDArray[np.integer], validation: ImageSet) -> Dataset:
    """Images without a label are taken unless their patient is among the validation images."""
    held_out = set(validation.groups or ())
    groups = images.groups or [""] * len(images)
    unlabelled = [int(i) for i in np.flatnonzero(images.labels == UNLABELLED) if groups[i] not in held_out]
    more = images.subset(unlabelled) if unlabelled else None
    return Dataset(images.subset(train), validation, validation, source="array", unlabelled=more)
