"""``bayescope classify``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from bayescope.cli.options import Device, DisagreementRate, Frame, MaxPasses, Prevalence, frame_from_text, prior_from_text
from bayescope.cli.output import add_row, check_free, complain, in_words, new_table, print_json, show, warn, write_json_lines
from bayescope.cli.progress import bar, late_counter
from bayescope.data.filesystem.names import printable

if TYPE_CHECKING:
    from bayescope.inference.model import LikelihoodModel
    from bayescope.inference.predictions import Predictions
    from bayescope.inference.read import ModelInput
    from bayescope.types import Pixels

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
    split: Annotated[str, typer.Option(help="Of a cache: train, val, test or all.")] = "test",
    prevalence: Prevalence = None,
    disagreement_rate: DisagreementRate = None,
    max_passes: MaxPasses = None,
    no_novelty: Annotated[
        bool, typer.Option("--no-novelty", help="Skip the check for unfamiliar images: saves up to a pass per noise level.")
    ] = False,
    device: Device = "auto",
    out: Annotated[Path | None, typer.Option(help="Also write the JSON lines to this file.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace --out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each image and unreadable file.")] = False,
) -> None:
    """Classify image files, and all images in folders. Exit code 1 if some could not be read.

    Example: bayescope classify runs/breast a.png b.png --prevalence "malignant=0.01,normal or benign=0.99" --json
    """
    from bayescope.runs.folder import read_record
    from bayescope.runs.model_file import load_model

    if out is not None:
        check_free(out, force)
    model = load_model(run, device)
    record = read_record(run)
    prior = prior_from_text(prevalence, model.class_names)
    of_cache = _cached(model, images, split)
    found = None
    if of_cache:
        names, stack, remarks = of_cache
    else:
        found = read_images(model, images, frame)
        names, stack, remarks = found.names, found.pixels, found.remarks
    if names:
        with bar("scoring images", len(names), quiet=len(names) < 4) as advance:
            predictions = model.classify(stack, prior, disagreement_rate, max_passes, advance, test_novelty=not no_novelty)
        if no_novelty:
            predictions = replace(predictions, novelty=None)
        elif predictions.novelty is None:
            warn("whether images are like those of training was not tested: too few validation images")
        warn(model.calibration.warning)
        if model.decisions is None:
            warn("no prediction sets: they need calibrated ratios and at least ten validation images of each class")
        else:
            warn(model.decisions.abstention.warning)
        seen = ["" if split == "test" else split for split in record.splits_of(stack)] if record else [""] * len(names)
        _warn_of_seen(seen)
    lines = list(_records(names, remarks, model, predictions, seen)) if names else []
    lines += left_out_records(found) if found is not None else []
    if out is not None:
        write_json_lines(out, lines)
    if as_json:
        for line in lines:
            print_json(line)
    elif names:
        show(_table(names, model, predictions, seen))
    if found is not None and found.failed:
        raise typer.Exit(1)


def _cached(model: LikelihoodModel, images: list[Path], split: str) -> tuple[Names, Pixels, Remarks] | None:
    """The images of one split of a prepared cache, mapped from its file; None if files are asked for."""
    import numpy as np

    from bayescope.data.labelled import SPLITS
    from bayescope.data.preparation.cache import is_cache
    from bayescope.errors import ConfigError, DataError
    from bayescope.evaluation.selection import load_for_model

    if len(images) != 1 or not is_cache(images[0]):
        return None
    if split not in (*SPLITS, "all"):
        raise ConfigError(f"split {split!r}; expected one of {', '.join(SPLITS)}, all")
    data = load_for_model(model, images[0])
    assert data.split is not None
    chosen = np.arange(len(data.images)) if split == "all" else np.flatnonzero(data.split == split)
    if not len(chosen):
        raise DataError(f"{images[0]}: no image of split {split}; expected some. Give another --split, or --split all")
    found = data.images.subset(chosen)
    return tuple(printable(images[0] / name) for name in found.names), found.pixels, ((),) * len(found)


def _warn_of_seen(seen: list[str]) -> None:
    for split, role in (("train", "trained"), ("val", "validated")):
        if n := seen.count(split):
            warn(f"the run was {role} on {n} of these {len(seen)} images: their answers say nothing of new images")


def read_images(model: LikelihoodModel, images: list[Path], frame: str | None) -> ModelInput:
    """Read files and folders with a progress bar; says what is passed over and why, and what to know of the others."""
    from bayescope.inference.read import read_for_model

    with late_counter("reading images") as count:
        found = read_for_model(model, images, frame_from_text(frame), count)
    for file in found.failed:
        complain(f"skipped: {file.reason}")
    for text in found.warnings:
        warn(text)
    if found.from_folders:
        complain(str(found.files), "yellow" if found.left_out else "dim")
    return found


def left_out_records(found: ModelInput) -> list[dict[str, Any]]:
    """A record of each file that could not be read; last, where folders were given, the account of all files."""
    records: list[dict[str, Any]] = [{"image": printable(file.path), "error": file.reason} for file in found.failed]
    if found.from_folders:
        records.append({"summary": found.files.to_dict()})
    return records


def _records(
    names: Names, remarks: Remarks, model: LikelihoodModel, predictions: Predictions, seen: list[str]
) -> Iterator[dict[str, Any]]:
    """One record an image."""
    novelty, decided = _novelty_warnings(predictions), model.decide(predictions)
    for i, name in enumerate(names):
        record = {
            "image": name,
            "class": model.class_names[int(predictions.posterior[i].argmax())],
            "prevalence": by_class(model, predictions.class_prior.tolist()),
            "posterior": by_class(model, predictions.posterior[i].tolist()),
            "posterior_error": by_class(model, predictions.posterior_error[i].tolist()),
            "log_likelihood_ratio": by_class(model, predictions.log_likelihood_ratio[i].tolist()),
            "standard_error": by_class(model, predictions.standard_error[i].tolist()),
            "raw_log_likelihood_ratio": by_class(model, predictions.raw_log_likelihood_ratio[i].tolist()),
            "calibrated": model.calibration.calibrated,
            "calibration_images": by_class(model, list(model.calibration.images)),
            "prediction_set": None if decided is None else decided.members(model.class_names, i),
            "abstained": None if decided is None or decided.answered is None else not decided.answered[i],
            "novelty_p_value": None if predictions.novelty is None else float(predictions.novelty.p_value[i]),
            "warnings": [text for text in (*remarks[i], model.calibration.warning, novelty[i]) if text],
            "seen": seen[i] or None,
            "passes": int(predictions.passes[i]),
        }
        yield record


def by_class(model: LikelihoodModel, values: Sequence[float]) -> dict[str, float]:
    """Values of the classes by their names."""
    return dict(zip(model.class_names, values, strict=True))


def _table(names: Names, model: LikelihoodModel, predictions: Predictions, seen: list[str]) -> Table:
    from bayescope.evaluation.evaluate import rests_on

    kind = "calibrated" if model.calibration.calibrated else "UNCALIBRATED"
    columns = ("image", "class", "probability", "LLR ± standard error", "set", "novelty", "passes")
    prevalence = in_words(by_class(model, predictions.class_prior.tolist()))
    caption = (
        f"probability: of the class, at prevalence {prevalence}; LLR: {kind} log-likelihood ratio of the class against the "
        "rest, nats"
        f"{', resting on validation images: ' + rests_on(model) if model.calibration.calibrated else ''}; "
        f"{_promise(model)}novelty: probability of as odd an image among ones like the training images; passes: network passes "
        "spent"
    )
    table = new_table(*columns, caption=caption, right=("probability", "passes"))
    warnings, decided = _novelty_warnings(predictions), model.decide(predictions)
    for i, name in enumerate(names):
        k = int(predictions.posterior[i].argmax())
        ratio = f"{predictions.log_likelihood_ratio[i, k]:+.2f} ± {predictions.standard_error[i, k]:.2f}"
        probability = _percent(predictions.posterior[i, k], predictions.posterior_error[i, k])
        novelty = _novelty(predictions, i, warnings[i])
        add_row(
            table,
            name + (f" (seen in {seen[i]})" if seen[i] else ""),
            model.class_names[k],
            probability,
            ratio,
            "–" if decided is None else decided.in_words(model.class_names, i),
            novelty,
            str(predictions.passes[i]),
        )
    return table


def _percent(probability: float, error: float) -> str:
    known = f" ± {100 * error:.1f}" if error == error else ""
    return f"{100 * probability:.1f}{known} %"


def _promise(model: LikelihoodModel) -> str:
    if model.decisions is None:
        return ""
    sets, abstention = model.decisions.sets, model.decisions.abstention
    held = f"set: holds the true class in {100 * (1 - sets.miscoverage):g} % of the images of any class, scored in full; "
    abstained = f"abstained: not sure enough for at most {100 * abstention.risk:g} % errors; "
    return held + ("" if abstention.warning else abstained)


def _novelty_warnings(predictions: Predictions) -> list[str]:
    return [""] * len(predictions.passes) if predictions.novelty is None else predictions.novelty.warnings()


def _novelty(predictions: Predictions, i: int, warning: str) -> str | Text:
    if predictions.novelty is None:
        return "not tested"
    return Text(warning, "bold red") if warning else f"p = {predictions.novelty.p_value[i]:.2f}"
