"""Evaluation of a trained model on labelled images: discrimination, calibration, prediction sets and abstention."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bayescope.data.dataset import ImageSet
from bayescope.errors import ConfigError
from bayescope.evaluation.progress import Progress, counting, no_progress
from bayescope.evaluation.selection import ChosenImages, unseen_images
from bayescope.inference.abstention import risk_coverage
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.predictions import ClassPrior, Predictions
from bayescope.metrics.bootstrap import Estimate, bootstrap, by_image
from bayescope.metrics.calibration import assess, expected_if_calibrated
from bayescope.metrics.classification import confusion, measure, measure_classes
from bayescope.runs.model_file import load_model
from bayescope.types import Floats, Labels

_TINY = 1e-9


@dataclass(frozen=True)
class Trust:
    """A measure of calibration, with the value expected of perfectly calibrated probabilities.

    Parameters
    ----------
    measured : Estimate
        The measured value.
    expected_if_calibrated : Estimate
        The value expected of perfectly calibrated probabilities on as many images.
    """

    measured: Estimate
    expected_if_calibrated: Estimate


@dataclass(frozen=True)
class Evaluation:
    """Measures of a model on labelled images; values of classes are by name.

    Parameters
    ----------
    model : LikelihoodModel
        The model.
    images : ImageSet
        The images.
    predictions : Predictions
        Predictions of the images.
    measures : mapping of str to Estimate
        Measures of all classes together.
    by_class : mapping of str to mapping
        Measures of each class against the rest; predictive values at ``predictions.class_prior``.
    trust : mapping of str to mapping
        Calibration of each class's ratios.
    decisions : dict or None
        Guaranteed and measured rates of prediction sets and abstention; None if the model has none.
    positive : str, optional
        Class of the headline.
    """

    model: LikelihoodModel
    images: ImageSet
    predictions: Predictions
    measures: Mapping[str, Estimate]
    by_class: Mapping[str, Mapping[str, Estimate]]
    trust: Mapping[str, Mapping[str, Trust]]
    decisions: dict[str, Any] | None
    positive: str | None = None

    @property
    def prevalence(self) -> dict[str, float]:
        """Prior probability of each class, as assumed by the predictions."""
        return self.model.by_class(self.predictions.class_prior)

    @property
    def class_counts(self) -> dict[str, int]:
        """Images of each class."""
        return self.model.by_class(np.bincount(self.images.labels, minlength=len(self.model.class_names)))

    @property
    def confusion(self) -> dict[str, dict[str, int]]:
        """How many images of each true class are called each class, by name."""
        counts = confusion(self.predictions.posterior, self.images.labels)
        return {name: self.model.by_class(row) for name, row in zip(self.model.class_names, counts, strict=True)}

    def to_dict(self, chosen: ChosenImages | None = None) -> dict[str, Any]:
        """The evaluation as values for JSON.

        Parameters
        ----------
        chosen : ChosenImages, optional
            How the images were selected.

        Returns
        -------
        dict
            What ``bayescope evaluate --json`` prints.
        """
        model, groups = self.model, self.images.groups
        record: dict[str, Any] = {}
        if chosen:
            record = {"split": chosen.name, "seen": chosen.seen, "left_out": chosen.left_out}
        warnings = [*(chosen.warnings if chosen else ()), model.calibration.warning]
        return record | {
            "images": len(self.images),
            "classes": list(model.class_names),
            "positive": self.positive,
            "prevalence": self.prevalence,
            "passes": self.predictions.mean_passes,
            "patients": None if groups is None else len(set(groups)),
            "calibrated": model.calibration.calibrated,
            "calibration_images": model.by_class(model.calibration.images),
            "decisions": self.decisions,
            "files": chosen.data.files.to_dict() if chosen else None,
            "warnings": [text for text in warnings if text],
            "measures": {name: asdict(estimate) for name, estimate in self.measures.items()},
            "by_class": {
                name: {"images": self.class_counts[name], **{what: asdict(estimate) for what, estimate in rows.items()}}
                for name, rows in self.by_class.items()
            },
            "confusion": self.confusion,
            "trust": {name: {what: asdict(row) for what, row in rows.items()} for name, rows in self.trust.items()},
        }


def evaluate(
    model: LikelihoodModel,
    images: ImageSet,
    class_prior: ClassPrior | None = None,
    disagreement_rate: float | None = None,
    max_passes: int | None = None,
    positive: str | None = None,
    callback: Callable[[int], None] = lambda images: None,
    test_novelty: bool = False,
) -> Evaluation:
    """Score labelled images and measure the predictions.

    Parameters
    ----------
    model : LikelihoodModel
        The model.
    images : ImageSet
        Images of the model's classes, size and pixel type.
    class_prior, disagreement_rate, max_passes, callback, test_novelty
        As for :meth:`LikelihoodModel.classify`.
    positive : str, optional
        Class of the headline.

    Returns
    -------
    Evaluation
        The measures.

    Raises
    ------
    ConfigError
        If ``positive`` is not a class, or a setting of scoring is not possible.
    DataError
        If the images do not fit the model.
    """
    check_class(positive, model.class_names)
    predictions = model.classify(images.pixels, class_prior, disagreement_rate, max_passes, callback, test_novelty)
    return measured(model, images, predictions, positive)


def evaluate_run(
    run: Path,
    data: Path,
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
) -> tuple[Evaluation, ChosenImages]:
    """Measure a trained run on labelled images it has not seen, as ``bayescope evaluate`` does.

    Parameters
    ----------
    run
        Run folder of ``bayescope train``.
    data
        The data the run was trained on, or other data of the same classes and image size.
    split
        ``"auto"``: all images of data that the run was not trained on, or else its own test images; ``"all"``: every image it
        was not trained or validated on; ``"test"``, ``"val"`` or ``"train"``: that split.
    class_prior
        Probability of each class, in the order of the model's classes or by their names (default: the model's own).
    disagreement_rate
        How often a prediction may differ from the full evaluation's; 0 scores in full (default: as configured).
    max_passes
        Most network passes for an image (default: as configured).
    positive
        Class of the headline (default: each class).
    normalise_labels
        Take labels and patients that differ in spelling only for the same.
    resize
        Bring images of another size to the model's, as its training images were.
    device
        ``"cpu"``, ``"cuda"``, or ``"auto"`` for a GPU if there is one.
    warned
        Called with the warnings about the images before any is scored; it may raise to stop there.
    progress
        Called as each stage begins, see :data:`bayescope.evaluation.progress.Progress`.

    Returns
    -------
    Evaluation
        What was measured; ``Evaluation.to_dict(chosen)`` is what ``--json`` prints.
    ChosenImages
        The images it was measured on, and what to know of them before trusting the result.

    Raises
    ------
    RunError
        If the run cannot be loaded.
    DataError
        If the data cannot be read, do not fit the model, or hold no unseen image.
    ConfigError
        If the split, a class, the prior, the rate or the number of passes is not possible.

    Examples
    --------
    >>> import bayescope
    >>> from pathlib import Path
    >>> found, chosen = bayescope.evaluate_run(Path("runs/breast"), Path("breastmnist.npz"))  # doctest: +SKIP
    >>> found.measures["AUC"].value  # doctest: +SKIP
    """
    model = load_model(run, device)
    check_class(positive, model.class_names)
    chosen = unseen_images(model, run, data, split, counting(progress, "reading images"), normalise_labels, resize)
    warned(chosen.warnings)
    scored = progress("scoring images", len(chosen.images))
    return evaluate(model, chosen.images, class_prior, disagreement_rate, max_passes, positive, scored), chosen


def measured(model: LikelihoodModel, images: ImageSet, predictions: Predictions, positive: str | None = None) -> Evaluation:
    """Measures of ``predictions`` of ``images``."""
    posterior, labels = predictions.posterior, images.labels
    return Evaluation(
        model,
        images,
        predictions,
        measure(posterior, labels, images.groups) | {"AURC": _aurc(predictions, images)},
        measure_classes(posterior, labels, model.class_names, predictions.class_prior, images.groups),
        _trust(model, predictions, images),
        _decisions(model, predictions, images),
        positive,
    )


def check_class(name: str | None, class_names: tuple[str, ...], option: str = "--positive") -> None:
    """Raise ConfigError unless ``name`` is None or a class."""
    if name is not None and name not in class_names:
        raise ConfigError(f"{option} {name}; expected one of the classes: {', '.join(class_names)}")


def decision_rows(decided: dict[str, Any] | None) -> list[tuple[str, str, str]]:
    """Rows of guaranteed and measured rates of sets and abstention, as text; none for a model without them."""
    if decided is None:
        return []
    rows = [
        (f"sets that hold {name}, where it is true", f"≥ {1 - decided['miscoverage']:.3g}", f"{share:.3f}")
        for name, share in decided["set coverage"].items()
    ]
    rows.append(("classes in a set", "", f"{decided['classes in a set']:.2f}"))
    if decided["warning"]:
        return [*rows, ("images classified", "", "none: " + decided["warning"])]
    rows.append(("images classified", "", f"{decided['answered']:.3f}"))
    return [*rows, ("errors among these", f"≤ {decided['risk']:.3g}", f"{decided['wrong among answered']:.3f}")]


def rests_on(model: LikelihoodModel) -> str:
    """Number of validation images of each class used by the calibration, as text."""
    return ", ".join(f"{n} {name}" for name, n in zip(model.class_names, model.calibration.images, strict=True))


def _aurc(predictions: Predictions, images: ImageSet) -> Estimate:
    """Area under the risk-coverage curve, the most confident images first."""
    posterior, labels = predictions.posterior, images.labels

    def area(chosen: Labels) -> Floats:
        return np.array([risk_coverage(posterior[chosen], labels[chosen]).area])

    return bootstrap(by_image(area), len(labels), images.groups, kind="basic")[0]


def _trust(model: LikelihoodModel, predictions: Predictions, images: ImageSet) -> dict[str, dict[str, Trust]]:
    """Calibration of ratios and probabilities: each measure, for each class against the rest.

    Probabilities are those at the class frequencies of these images, so that a wrong prevalence does not count against the
    ratios.
    """
    counts = np.maximum(np.bincount(images.labels, minlength=images.n_classes), 1)
    posterior = predictions.posterior_at(counts / counts.sum())
    found = assess(predictions.log_likelihood_ratio, posterior, images.labels, images.groups)
    return {name: _beside_expected(found[k], posterior[:, k]) for k, name in enumerate(model.class_names)}


def _beside_expected(found: dict[str, Estimate], probability: Floats) -> dict[str, Trust]:
    expected = expected_if_calibrated(probability.clip(_TINY, 1 - _TINY))
    return {what: Trust(value, expected[what]) for what, value in found.items()}


def _decisions(model: LikelihoodModel, predictions: Predictions, images: ImageSet) -> dict[str, Any] | None:
    """Guaranteed and measured rates of prediction sets and abstention; None if the model has none."""
    decided = model.decide(predictions)
    if model.decisions is None or decided is None:
        return None
    sets, abstention = model.decisions.sets, model.decisions.abstention
    promised = {"miscoverage": sets.miscoverage, "risk": abstention.risk, "warning": abstention.warning}
    found = decided.measured(images.labels)
    return promised | found | {"set coverage": model.by_class(found["set coverage"])}
