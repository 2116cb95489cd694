"""``bayescope classify``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from bayescope.cli.evaluate import labelled_split, rests_on
from bayescope.cli.options import Device, ErrorRate, Frame, MaxPasses, Prevalence, frame_from_text, prior_from_text
from bayescope.cli.output import add_row, complain, console, new_table, print_json, warn
from bayescope.cli.progress import bar, late_counter
from bayescope.data.names import printable

if TYPE_CHECKING:
    from bayescope.answers import Answers
    from bayescope.model import LikelihoodModel
    from bayescope.reading import ModelInput
    from bayescope.shapes import Pixels

    Names = tuple[str, ...]
    Remarks = tuple[tuple[str, ...], ...]

NAME = "classify"


def command(
    run: Annotated[Path, typer.Argument(help="Run folder of `bayescope train`.")],
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Image files: PNG, JPEG, TIFF, BMP, WebP, GIF, PGM, or DICOM for a prepared model; folders of them; or one "
            "CACHE of `bayescope prepare`."
        ),
    ],
    frame: Frame = None,
    split: Annotated[str, typer.Option(help="Of a cache: train, val or test.")] = "test",
    prevalence: Prevalence = None,
    error_rate: ErrorRate = None,
    max_passes: MaxPasses = None,
    no_novelty: Annotated[
        bool, typer.Option("--no-novelty", help="Skip the check for unfamiliar images: saves up to a pass per noise level.")
    ] = False,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each image and unreadable file.")] = False,
) -> None:
    """Classify image files, and all images in folders. Exit code 1 if some could not be read.

    Example: bayescope classify runs/breast a.png b.png --prevalence 0.01,0.99 --json
    """
    from bayescope.checkpoint import load_model

    model = load_model(run, device)
    prior = prior_from_text(prevalence, model.class_names)
    of_cache = _cached(model, images, split)
    found = None
    if of_cache:
        names, stack, remarks = of_cache
    else:
        found = read_images(model, images, frame)
        names, stack, remarks = found.names, found.pixels, found.remarks
    if names:
        with bar("weighing images", len(names), quiet=len(names) < 4) as advance:
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
        _print_records(names, remarks, model, answers) if as_json else console.print(_table(names, model, answers))
    if found is not None and as_json:
        print_left_out(found)
    if found is not None and found.failed:
        raise typer.Exit(1)


def _cached(model: LikelihoodModel, images: list[Path], split: str) -> tuple[Names, Pixels, Remarks] | None:
    """The images of one split of a prepared cache, mapped from its file; None if files are asked for."""
    from bayescope.data.cache import is_cache

    if len(images) != 1 or not is_cache(images[0]):
        return None
    found = labelled_split(model, images[0], split).images
    return tuple(printable(images[0] / name) for name in found.names), found.pixels, ((),) * len(found)


def read_images(model: LikelihoodModel, images: list[Path], frame: str | None) -> ModelInput:
    """Read files and folders with a progress bar; says what is passed over and why, and what to know of the others."""
    from bayescope.reading import read_for_model

    with late_counter("reading images") as count:
        found = read_for_model(model, images, frame_from_text(frame), count)
    for file in found.failed:
        complain(f"skipped: {file.reason}")
    for text in found.warnings:
        warn(text)
    if found.from_folders:
        complain(str(found.files), "yellow" if found.left_out else "dim")
    return found


def print_left_out(found: ModelInput) -> None:
    """A JSON object for each file that could not be read; last, where folders were given, the account of all files."""
    for file in found.failed:
        print_json({"image": printable(file.path), "error": file.reason})
    if found.from_folders:
        print_json({"summary": found.files.to_dict()})


def _print_records(names: Names, remarks: Remarks, model: LikelihoodModel, answers: Answers) -> None:
    """One JSON object a line."""
    novelty, decided = _novelty_warnings(answers), model.decide(answers)
    for i, name in enumerate(names):
        record = {
            "image": name,
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
            "warnings": [text for text in (*remarks[i], model.calibration.warning, novelty[i]) if text],
            "passes": int(answers.passes[i]),
        }
        print_json(record)


def by_class(model: LikelihoodModel, values: Sequence[float]) -> dict[str, float]:
    """Values of the classes by their names."""
    return dict(zip(model.class_names, values, strict=True))


def _table(names: Names, model: LikelihoodModel, answers: Answers) -> Table:
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
    for i, name in enumerate(names):
        k = int(answers.posterior[i].argmax())
        ratio = f"{answers.log_likelihood_ratio[i, k]:+.2f} ± {answers.standard_error[i, k]:.2f}"
        probability = _percent(answers.posterior[i, k], answers.posterior_error[i, k])
        novelty = _novelty(answers, i, warnings[i])
        add_row(
            table,
            name,
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
