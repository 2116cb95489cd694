"""Builds the report of a run: evaluates the model, draws samples, explains selected images, and writes one page."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bayescope.evaluation.demo import ideal_observer
from bayescope.evaluation.evaluate import Evaluation, check_class, evaluate_chosen
from bayescope.evaluation.progress import Progress, no_progress
from bayescope.evaluation.report.context import Context, choose_cases
from bayescope.evaluation.report.explained import explain_images
from bayescope.evaluation.report.page import render
from bayescope.evaluation.report.sections import SECTIONS, Section
from bayescope.evaluation.run_images import images_of_run
from bayescope.evaluation.selection import ChosenImages
from bayescope.inference.predictions import ClassPrior
from bayescope.runs.files import METRICS, read_lines, write_text
from bayescope.runs.folder import read_manifest
from bayescope.runs.model_file import load_model
from bayescope.types import Floats

_SAMPLES = 8


def write_report(
    run: Path,
    target: Path,
    *,
    data: Path | None = None,
    split: str = "auto",
    positive: str | None = None,
    class_prior: ClassPrior | None = None,
    normalise_labels: bool = False,
    device: str = "auto",
    sections: Sequence[Section] = SECTIONS,
    warned: Callable[[Sequence[str]], None] = lambda warnings: None,
    progress: Progress = no_progress,
) -> Evaluation:
    """Evaluate a trained run and write a self-contained HTML report, as ``bayescope report`` does.

    Parameters
    ----------
    run : Path
        Run folder of ``bayescope train`` or ``bayescope demo``.
    target : Path
        HTML file to write, replaced if it exists.
    data : Path, optional
        Labelled images; by default those the run was trained on.  Images of a demo are drawn again.
    split : str, default "auto"
        Which of the images: "auto", "all", "test", "val" or "train", as of
        :func:`bayescope.evaluation.selection.choose_images`.
    positive : str, optional
        Class of the headline; by default each class is shown.
    class_prior : sequence of float or mapping of str to float, optional
        Probability of each class, in their order or by name; by default the model's own.
    normalise_labels : bool, default False
        Whether classes and patients that differ in case, blanks or number format are the same.
    device : str, default "auto"
        Where to score images: "auto", "cpu" or "cuda".
    sections : sequence of Section, optional
        The sections of the page, in order.
    warned : callable, optional
        Called with the warnings about the images before they are scored; it may raise to stop there.
    progress : callable, optional
        Called as each stage begins, see :data:`bayescope.evaluation.progress.Progress`.

    Returns
    -------
    Evaluation
        What was measured.

    Raises
    ------
    RunError
        If the run cannot be read, does not say where its data are, or the report cannot be written.
    ConfigError
        For an unknown class or split, or a prior that is none.
    DataError
        If the images cannot be read, are of other classes, or none is left to evaluate.

    Examples
    --------
    >>> write_report(Path("runs/breast"), Path("breast.html"), positive="malignant")  # doctest: +SKIP
    """
    model = load_model(run, device)
    check_class(positive, model.class_names)
    chosen, is_demo = images_of_run(model, run, data, split, progress, normalise_labels)
    found = evaluate_chosen(model, chosen, class_prior, positive=positive, warned=warned, progress=progress, trust_tests=True)
    reference = ideal_observer(chosen.images) if is_demo else None
    write_text(target, report_page(run, found, chosen, reference, progress, sections))
    return found


def report_page(
    run: Path,
    found: Evaluation,
    chosen: ChosenImages,
    reference: dict[str, Floats] | None = None,
    progress: Progress = no_progress,
    sections: Sequence[Section] = SECTIONS,
) -> str:
    """One self-contained HTML page on what was ``found`` of a model on the ``chosen`` images.

    ``reference``: posteriors of other observers on the same images, by name.
    """
    model, images, predictions = found.model, found.images, found.predictions
    sampled = progress("sampling", len(model.class_names))
    samples = model.sample(_SAMPLES)
    sampled(len(model.class_names))
    cases = choose_cases(predictions.posterior, images.labels, predictions.trust)
    explained = progress("explaining", len(cases.explained))
    decided = model.decide(predictions)
    context = Context(
        chosen=chosen,
        cases=cases,
        pictures={i: model.scale.to_display(model.scale.to_model(images.pixels[i : i + 1]))[0] for i in cases.shown},
        samples=np.stack([model.scale.to_display(row) for row in samples]),
        curve=read_lines(run / METRICS),
        trained_on=_trained_on(run),
        sets=() if decided is None else tuple(decided.describe(model.class_names, i) for i in range(len(images))),
        reference=reference or {},
        explained=explain_images(model, images, predictions.class_prior, cases.explained, explained),
    )
    return render(found, context, sections)


def _trained_on(run: Path) -> str:
    manifest = read_manifest(run)
    return f"{manifest['source']}, SHA-256 {manifest['fingerprint']}" if "fingerprint" in manifest else ""
