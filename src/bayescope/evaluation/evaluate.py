"""Evaluation of a trained model on labelled images: discrimination, calibration, prediction sets and abstention."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bayescope.data.dataset import ImageSet
from bayescope.errors import ConfigError
from bayescope.evaluation.progress import Progress, counting, no_progress
from bayescope.evaluation.result import Evaluation, Scored, Trust, measured
from bayescope.evaluation.selection import ChosenImages, unseen_images
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.predictions import ClassPrior
from bayescope.runs.model_file import load_model

__all__ = [
    "Evaluation",
    "Scored",
    "Trust",
    "check_class",
    "decision_rows",
    "evaluate",
    "evaluate_chosen",
    "evaluate_run",
    "measured",
    "rests_on",
]


def evaluate(
    model: LikelihoodModel,
    images: ImageSet,
    class_prior: ClassPrior | None = None,
    disagreement_rate: float | None = None,
    max_passes: int | None = None,
    positive: str | None = None,
    callback: Callable[[int], None] = lambda images: None,
    trust_tests: bool = False,
) -> Evaluation:
    """Score labelled images and measure the predictions.

    Parameters
    ----------
    model : LikelihoodModel
        The model.
    images : ImageSet
        Images of the model's classes, size and pixel type.
    class_prior, disagreement_rate, max_passes, callback, trust_tests
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
    predictions = model.classify(images.pixels, class_prior, disagreement_rate, max_passes, callback, trust_tests)
    return measured([Scored(model, images, predictions)], positive)


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
        If the data cannot be read, do not fit the model, or contain no unseen image.
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
    scoring = class_prior, disagreement_rate, max_passes, positive
    return evaluate_chosen(model, chosen, *scoring, warned=warned, progress=progress), chosen


def evaluate_chosen(
    model: LikelihoodModel,
    chosen: ChosenImages,
    class_prior: ClassPrior | None = None,
    disagreement_rate: float | None = None,
    max_passes: int | None = None,
    positive: str | None = None,
    *,
    warned: Callable[[Sequence[str]], None],
    progress: Progress,
    trust_tests: bool = False,
) -> Evaluation:
    """:func:`evaluate` on ``chosen`` images, as a stage of ``progress``; ``warned`` is called before with their warnings."""
    warned(chosen.warnings)
    scored = progress("scoring images", len(chosen.images))
    return evaluate(model, chosen.images, class_prior, disagreement_rate, max_passes, positive, scored, trust_tests)


def check_class(name: str | None, class_names: tuple[str, ...], option: str = "--positive") -> None:
    """Raise ConfigError unless ``name`` is None or a class."""
    if name is not None and name not in class_names:
        raise ConfigError(f"{option} {name}; expected one of the classes: {', '.join(class_names)}")


def decision_rows(decided: dict[str, Any] | None) -> list[tuple[str, str, str]]:
    """Rows of guaranteed and measured rates of sets and abstention, as text; none for a model without them."""
    if decided is None:
        return []
    rows = [
        (f"sets that contain {name}, where it is true", f"≥ {1 - decided['miscoverage']:.3g}", f"{share:.3f}")
        for name, share in decided["set coverage"].items()
    ]
    rows.append(("classes in a set", "", f"{decided['classes in a set']:.2f}"))
    if decided["warning"]:
        return [*rows, ("images classified", "", "none: " + decided["warning"])]
    rows.append(("images classified", "", f"{decided['answered']:.3f}"))
    return [*rows, ("errors among these", f"≤ {decided['risk']:.3g}", f"{decided['wrong among answered']:.3f}")]


def rests_on(calibration_images: Mapping[str, int]) -> str:
    """Number of validation images of each class used by the calibration, as text."""
    return ", ".join(f"{n} {name}" for name, n in calibration_images.items())
