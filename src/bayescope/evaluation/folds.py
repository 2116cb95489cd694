"""Cross-validation: runs trained on different folds of the same data, each measured on its own test images, all together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bayescope.data.copies import pixel_hashes
from bayescope.data.dataset import ImageSet
from bayescope.errors import ConfigError, DataError
from bayescope.evaluation.evaluate import check_class
from bayescope.evaluation.progress import Progress, counting, no_progress
from bayescope.evaluation.result import Evaluation, Scored, measured
from bayescope.evaluation.selection import ChosenImages, unseen_images
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.predictions import ClassPrior, check_prior
from bayescope.runs.folder import training_data
from bayescope.runs.model_file import load_model
from bayescope.types import Floats


@dataclass(frozen=True)
class Fold:
    """A run of a cross-validation, and the data that hold its test images."""

    run: Path
    data: Path

    @classmethod
    def of(cls, run: Path, data: Path | None = None) -> "Fold":
        """With the data the run was trained on, unless others are given.  Raises RunError if it does not record them."""
        return cls(run, data or training_data(run))


def evaluate_folds(
    folds: Sequence[Fold],
    *,
    split: str = "auto",
    class_prior: ClassPrior | None = None,
    disagreement_rate: float | None = None,
    max_passes: int | None = None,
    positive: str | None = None,
    normalise_labels: bool = False,
    resize: bool = False,
    device: str = "auto",
    warned: Callable[[Sequence[str]], None] = lambda warnings: None,
    progress: Progress = no_progress,
) -> tuple[Evaluation, tuple[ChosenImages, ...]]:
    """Measure runs of different folds on their own test images, and pool the predictions.

    Parameters
    ----------
    folds : sequence of Fold
        The runs and their data.
    class_prior : sequence or mapping of float, optional
        Probability of each class (default: the mean of the models' own).
    split, disagreement_rate, max_passes, positive, normalise_labels, resize, device, warned, progress
        As for :func:`bayescope.evaluation.evaluate.evaluate_run`.

    Returns
    -------
    Evaluation
        Measures of all predictions together; ``Evaluation.to_dict(*chosen)`` is what ``--json`` prints.
    tuple of ChosenImages
        The images of each fold.

    Raises
    ------
    RunError
        If a run cannot be loaded.
    DataError
        If data cannot be read, do not fit their model, or an image is measured in two folds.
    ConfigError
        If the runs have different classes, or a setting is not possible.

    Examples
    --------
    >>> runs = [Path(f"runs/mias-{k}") for k in range(5)]
    >>> found, chosen = evaluate_folds([Fold.of(run) for run in runs])  # doctest: +SKIP
    >>> found.measures["AUC"]  # doctest: +SKIP
    """
    models = [load_model(fold.run, device) for fold in folds]
    _check_classes(folds, models)
    check_class(positive, models[0].class_names)
    prior = _common_prior(models, class_prior)
    read, chosen = counting(progress, "reading images"), list[ChosenImages]()
    for fold, model in zip(folds, models, strict=True):
        chosen.append(unseen_images(model, fold.run, fold.data, split, read, normalise_labels, resize))
    if len(chosen) > 1:
        check_each_once([one.images for one in chosen])
    warned(tuple(dict.fromkeys(text for one in chosen for text in one.warnings)))
    scored = progress("scoring images", sum(len(one.images) for one in chosen))
    parts = [
        Scored(model, one.images, model.classify(one.images.pixels, prior, disagreement_rate, max_passes, scored))
        for model, one in zip(models, chosen, strict=True)
    ]
    return measured(parts, positive), tuple(chosen)


def _check_classes(folds: Sequence[Fold], models: Sequence[LikelihoodModel]) -> None:
    for fold, model in zip(folds, models, strict=True):
        if model.class_names != models[0].class_names:
            raise ConfigError(
                f"{fold.run}: classes {', '.join(model.class_names)}; expected those of {folds[0].run}: "
                f"{', '.join(models[0].class_names)}. Give runs of folds of the same data"
            )


def _common_prior(models: Sequence[LikelihoodModel], class_prior: ClassPrior | None) -> Floats:
    if class_prior is not None:
        return check_prior(class_prior, models[0].class_names)
    return np.asarray(np.mean([model.class_prior for model in models], axis=0))


def check_each_once(sets: Sequence[ImageSet]) -> None:
    """Raise DataError if an image, by its pixels, is in two of the ``sets``."""
    seen: dict[str, int] = {}
    for number, images in enumerate(sets):
        for name, found in zip(images.names, pixel_hashes(images.pixels), strict=True):
            if seen.setdefault(found, number) != number:
                raise DataError(f"{name}: a test image of two folds; expected of one. Give different folds of the same data")
