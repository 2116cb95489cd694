"""``bayescope classify``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from bayescope.cli.evaluate import labelled_split, rests_on
from bayescope.cli.options import Device, ErrorRate, MaxPasses, Prevalence, prior_from_text
from bayescope.cli.output import add_row, check_free, complain, new_table, print_json, show, warn, write_json_lines
from bayescope.cli.progress import bar

if TYPE_CHECKING:
    from bayescope.answers import Answers
    from bayescope.model import LikelihoodModel
    from bayescope.shapes import Pixels

NAME = "classify"


def command(
    run: Annotated[Path, typer.Argument(help="Run folder of `bayescope train`.")],
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Image files: PNG, JPEG, TIFF, or DICOM for a prepared model; or one CACHE of `bayescope prepare`."
        ),
    ],
    split: Annotated[str, typer.Option(help="Of a cache: train, val or test.")] = "test",
    prevalence: Prevalence = None,
    error_rate: ErrorRate = None,
    max_passes: MaxPasses = None,
    no_novelty: Annotated[
        bool, typer.Option("--no-novelty", help="Skip the check for unfamiliar images: saves up to a pass per noise level.")
    ] = False,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per image.")] = False,
    out: Annotated[Path | None, typer.Option(help="File to write the JSON to, before anything is printed.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file in --out.")] = False,
) -> None:
    """Classify image files. Exit code 1 if some could not be read.

    Example: bayescope classify runs/breast a.png b.png --prevalence 0.01,0.99 --json
    """
    from bayescope.checkpoint import load_model

    if out:
        check_free(out, force)
    model = load_model(run, device)
    prior = prior_from_text(prevalence, model.class_names)
    of_cache = _cached(model, images, split)
    paths, stack = of_cache or read_images(model, images)
    if paths:
        with bar("weighing images", len(paths), quiet=len(paths) < 4) as advance:
            answers = model.classify(stack, prior, error_rate, max_passes, advance, test_novelty=not no_novelty)
        if no_novelty:
            answers = replace(answers, novelty=None)
        elif answers.novelty is None:
            warn("whether images are like those of training was not tested: too few validation images")
        warn(model.calibration.warning)
        if model.decisions is None:
            warn("no prediction sets: they need calibrated ratios and at least ten validation images of each class")
        else:
            warn(model.decisions.abstention.warning)
        records = list(_records(paths, model, answers))
        if out:
            write_json_lines(out, records)
        if as_json:
            for record in records:
                print_json(record)
        else:
            show(_table(paths, model, answers))
    if of_cache is None and len(paths) < len(images):
        raise typer.Exit(1)


def _cached(model: LikelihoodModel, images: list[Path], split: str) -> tuple[list[Path], Pixels] | None:
    """The images of one split of a prepared cache, mapped from its file; None if files are asked for."""
    from bayescope.data.cache import is_cache

    if len(images) != 1 or not is_cache(images[0]):
        return None
    found = labelled_split(model, images[0], split).images
    return [images[0] / name for name in found.names], found.pixels


def read_images(model: LikelihoodModel, images: list[Path]) -> tuple[list[Path], Pixels]:
    """The files that can be read and their pixels ``(n, channel, height, width)``; says which are passed over and why."""
    import numpy as np

    from bayescope.errors import DataError

    paths, pixels = [], []
    for path in images:
        try:
            pixels.append(prepare(model, path))
            paths.append(path)
        except DataError as error:
            complain(f"skipped: {error}")
    return paths, np.stack(pixels) if pixels else np.empty((0, *model.image_shape))


def prepare(model: LikelihoodModel, path: Path) -> Pixels:
    """Read one file as the model's training images were read.  Raises DataError if it does not fit the model."""
    from bayescope.data.dicom import is_dicom
    from bayescope.data.files import read_image
    from bayescope.data.frame import FOR_PROCESSING
    from bayescope.data.images import as_stored
    from bayescope.data.workers import prepare_file
    from bayescope.errors import DataError

    if model.preparation:
        prepared, done = prepare_file(path, model.preparation)
        if done.shown.presentation == FOR_PROCESSING:
            warn(f"{path.name}: a FOR PROCESSING image; expected FOR PRESENTATION, as readers see it. Its answer may mislead")
        return prepared[None]
    if is_dicom(path):
        raise DataError(
            f"{path.name}: a DICOM file; the model was trained on plain images. Train on a cache of "
            "`bayescope prepare`: its model prepares DICOM files in the same way"
        )
    pixels = read_image(path, model.config.size)
    if pixels.shape != model.image_shape:
        raise DataError(
            f"{path.name}: {pixels.shape[0]} channel(s), {pixels.shape[1]}x{pixels.shape[2]} pixels; the model expects "
            f"{model.image_shape[0]} channel(s), {model.image_shape[1]}x{model.image_shape[2]}. Convert it first"
        )
    return as_stored(pixels, model.pixel_type, model.scale, path.name)


def _records(paths: list[Path], model: LikelihoodModel, answers: Answers) -> Iterator[dict[str, Any]]:
    """One JSON object for each image."""
    novelty, decided = _novelty_warnings(answers), model.decide(answers)
    for i, path in enumerate(paths):
        record = {
            "image": str(path),
            "class": model.class_names[int(answers.posterior[i].argmax())],
            "posterior": by_class(model, answers.posterior[i].tolist()),
            "posterior_error": by_class(model, answers.posterior_error[i].tolist()),
            "log_likelihood_ratio": by_class(model, answers.log_likelihood_ratio[i].tolist()),
            "standard_error": by_class(model, answers.standard_error[i].tolist()),
            "raw_log_likelihood_ratio": by_class(model, answers.raw_log_likelihood_ratio[i].tolist()),
            "calibrated": model.calibration.calibrated,
            "calibration_images": by_class(model, list(model.calibration.images)),
            "prediction_set": None if decided is None else decided.members(model.class_names, i),
            "withheld": None if decided is None or decided.answered is None else not decided.answered[i],
            "novelty_p_value": None if answers.novelty is None else float(answers.novelty.p_value[i]),
            "warnings": [text for text in (model.calibration.warning, novelty[i]) if text],
            "passes": int(answers.passes[i]),
        }
        yield record


def by_class(model: LikelihoodModel, values: Sequence[float]) -> dict[str, float]:
    """Values of the classes by their names."""
    return dict(zip(model.class_names, values, strict=True))


def _table(paths: list[Path], model: LikelihoodModel, answers: Answers) -> Table:
    kind = "calibrated" if model.calibration.calibrated else "UNCALIBRATED"
    columns = ("image", "class", "probability", "LLR ± standard error", "set", "novelty", "passes")
    caption = (
        f"LLR: {kind} log-likelihood ratio of the class against the rest, nats"
        f"{', resting on validation images: ' + rests_on(model) if model.calibration.calibrated else ''}; "
        f"{_promise(model)}novelty: probability of as odd an image among ones like the training images; passes: network passes "
        "spent"
    )
    table = new_table(*columns, caption=caption, right=("probability", "passes"))
    warnings, decided = _novelty_warnings(answers), model.decide(answers)
    for i, path in enumerate(paths):
        k = int(answers.posterior[i].argmax())
        ratio = f"{answers.log_likelihood_ratio[i, k]:+.2f} ± {answers.standard_error[i, k]:.2f}"
        probability = _percent(answers.posterior[i, k], answers.posterior_error[i, k])
        novelty = _novelty(answers, i, warnings[i])
        add_row(
            table,
            str(path),
            model.class_names[k],
            probability,
            ratio,
            "–" if decided is None else decided.in_words(model.class_names, i),
            novelty,
            str(answers.passes[i]),
        )
    return table


def _percent(probability: float, error: float) -> str:
    known = f" ± {100 * error:.1f}" if error == error else ""
    return f"{100 * probability:.1f}{known} %"


def _promise(model: LikelihoodModel) -> str:
    if model.decisions is None:
        return ""
    sets, abstention = model.decisions.sets, model.decisions.abstention
    held = f"set: holds the true class in {100 * (1 - sets.miscoverage):g} % of the images of any class, weighed in full; "
    withheld = f"withheld: not sure enough for at most {100 * abstention.risk:g} % errors; "
    return held + ("" if abstention.warning else withheld)


def _novelty_warnings(answers: Answers) -> list[str]:
    return [""] * len(answers.passes) if answers.novelty is None else answers.novelty.warnings()


def _novelty(answers: Answers, i: int, warning: str) -> str | Text:
    if answers.novelty is None:
        return "not tested"
    return Text(warning, "bold red") if warning else f"p = {answers.novelty.p_value[i]:.2f}"
