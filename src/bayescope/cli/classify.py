"""``bayescope classify``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from bayescope.cli.dicom_objects import Codes, codes_of_objects, write_reports_of
from bayescope.cli.options import (
    Device,
    DisagreementRate,
    Frame,
    MaxPasses,
    Prevalence,
    Resize,
    frame_from_text,
    prior_from_text,
)
from bayescope.cli.output import (
    add_row,
    check_free,
    complain,
    format_values,
    new_table,
    print_json,
    show,
    warn,
    write_json_lines,
)
from bayescope.cli.progress import bar, late_counter
from bayescope.cli.tables import Column, Table

if TYPE_CHECKING:
    from bayescope.inference.decisions import Decision
    from bayescope.inference.model import LikelihoodModel
    from bayescope.inference.predictions import Predictions
    from bayescope.inference.read import ModelInput
    from bayescope.inference.trust import Finding

NAME = "classify"
_COLUMNS = (
    Column("image", kind="name"),
    Column("class", kind="label"),
    Column("probability", "p, %", right=True),
    Column("LLR ± standard error", "LLR ± SE"),
    Column("set", kind="label"),
)
_PASSES = Column("passes", "n", right=True)
_SEEN = Column("seen in", "seen")


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
    no_trust_tests: Annotated[
        bool,
        typer.Option(
            "--no-trust-tests",
            "--no-novelty",
            help="Skip the trust tests, which detect unfamiliar images: saves up to a pass per noise level.",
        ),
    ] = False,
    resize: Resize = False,
    runtime: Annotated[
        str,
        typer.Option(help="What runs the network: torch, or onnx: the graph of `bayescope export`, on the CPU."),
    ] = "torch",
    device: Device = "auto",
    out: Annotated[Path | None, typer.Option(help="Also write the JSON lines to this file.")] = None,
    sr: Annotated[
        Path | None, typer.Option(help="Also write a structured report of each DICOM image (TID 1500) to this folder.")
    ] = None,
    codes: Codes = None,
    force: Annotated[bool, typer.Option("--force", help="Replace --out, and files of --sr whose content differs.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each image and unreadable file.")] = False,
) -> None:
    """Classify image files, and all images in folders. Exit code 1 if some could not be read.

    Example: bayescope classify runs/breast a.png b.png --prevalence "malignant=0.01,normal or benign=0.99" --json

    Example: bayescope classify runs/mammography study/ --sr reports
    """
    from bayescope.data.preparation.cache import is_cache
    from bayescope.evaluation.selection import images_of_cache, seen_splits
    from bayescope.export.runtime import load_model_on
    from bayescope.runs.folder import read_record

    if out is not None:
        check_free(out, force)
    model = load_model_on(run, runtime, device)
    record = read_record(run)
    prior = prior_from_text(prevalence, model.class_names)
    is_one_cache = len(images) == 1 and is_cache(images[0])
    class_codes = codes_of_objects(model, sr, codes, "--sr", is_one_cache)
    found = images_of_cache(model, images[0], split) if is_one_cache else read_images(model, images, frame, resize)
    records = []
    if found.names:
        with bar("scoring images", len(found), quiet=len(found) < 4) as advance:
            predictions = model.classify(
                found.pixels, prior, disagreement_rate, max_passes, advance, trust_tests=not no_trust_tests
            )
        if no_trust_tests:
            predictions = replace(predictions, trust={})
        seen = seen_splits(record, found.pixels)
        _warn(model, predictions, seen, no_trust_tests)
        records = list(predictions.records(model, found.names, found.remarks, seen))
    lines = [*records, *found.left_out_records()]
    if out is not None:
        write_json_lines(out, lines)
    if as_json:
        for line in lines:
            print_json(line)
    elif found.names:
        show(_table(found.names, model, predictions, seen))
    has_reports = sr is None or write_reports_of(run, found, records, class_codes, sr, force)
    if found.failed or not has_reports:
        raise typer.Exit(1)


def _warn(model: LikelihoodModel, predictions: Predictions, seen: list[str], no_trust_tests: bool) -> None:
    """What to know before trusting the predictions."""
    from bayescope.inference.trust_tests import TRUST_TESTS

    for name, test in TRUST_TESTS.items():
        if name not in predictions.trust and not no_trust_tests:
            warn(test.wording.not_fitted)
    warn(model.calibration.warning)
    if model.decisions is None:
        warn("no prediction sets: they need calibrated ratios and at least ten validation images of each class")
    else:
        warn(model.decisions.abstention.warning)
    for split, role in (("train", "trained"), ("val", "validated")):
        if n := seen.count(split):
            warn(f"the run was {role} on {n} of these {len(seen)} images: their predictions do not apply to new ones")


def read_images(model: LikelihoodModel, images: list[Path], frame: str | None, resize: bool = False) -> ModelInput:
    """Read files and folders with a progress bar; says what is passed over and why, and what to know of the others."""
    from bayescope.inference.read import read_for_model

    with late_counter("reading images") as count:
        found = read_for_model(model, images, frame_from_text(frame), count, resize)
    for file in found.failed:
        complain(f"skipped: {file.reason}")
    for text in found.warnings:
        warn(text)
    if found.from_folders:
        complain(str(found.files), "yellow" if found.left_out else "dim")
    return found


def _table(names: tuple[str, ...], model: LikelihoodModel, predictions: Predictions, seen: list[str]) -> Table:
    from bayescope.evaluation.evaluate import rests_on
    from bayescope.inference.trust_tests import TRUST_TESTS

    wordings = [test.wording for test in TRUST_TESTS.values()]
    kind = "calibrated" if model.calibration.calibrated else "UNCALIBRATED"
    prevalence = format_values(model.by_class(predictions.class_prior))
    images = model.by_class(model.calibration.images)
    caption = (
        f"probability, p: of the class, at prevalence {prevalence}; LLR: {kind} log-likelihood ratio of the class against the "
        "rest, nats"
        f"{', resting on validation images: ' + rests_on(images) if model.calibration.calibrated else ''}; "
        f"{_promise(model)}{''.join(wording.explanation + '; ' for wording in wordings)}passes, n: network passes spent"
    )
    of_tests = [Column(wording.column, wording.short_column) for wording in wordings]
    table = new_table(*_COLUMNS, *of_tests, _PASSES, *([_SEEN] if any(seen) else []), caption=caption)
    decided = model.decide(predictions)
    for i, name in enumerate(names):
        k, findings = int(predictions.posterior[i].argmax()), predictions.findings(i)
        ratio, error = predictions.log_likelihood_ratio[i, k], predictions.standard_error[i, k]
        add_row(
            table,
            name,
            model.class_names[k],
            _percent(predictions.posterior[i, k], predictions.posterior_error[i, k]),
            (f"{ratio:+.2f}", f"{ratio:+.2f}")
            if error != error
            else (f"{ratio:+.2f} ± {error:.2f}", f"{ratio:+.2f}±{error:.2f}"),
            "–" if decided is None else (decided.describe(model.class_names, i), _set_in_short(decided, model.class_names, i)),
            *(_finding(findings.get(name)) for name in TRUST_TESTS),
            str(predictions.passes[i]),
            *([seen[i]] if any(seen) else []),
        )
    return table


def _percent(probability: float, error: float) -> tuple[str, str]:
    percent = f"{100 * probability:.1f}"
    return (f"{percent} ± {100 * error:.1f} %" if error == error else f"{percent} %"), percent


def _set_in_short(decided: Decision, class_names: tuple[str, ...], i: int) -> str:
    if decided.answered is not None and not decided.answered[i]:
        return "abstains"
    members = decided.members(class_names, i)
    return members[0] if len(members) == 1 else f"{len(members)} of {len(class_names)}"


def _promise(model: LikelihoodModel) -> str:
    if model.decisions is None:
        return ""
    sets, abstention = model.decisions.sets, model.decisions.abstention
    held = f"set: contains the true class in {100 * (1 - sets.miscoverage):g} % of the images of any class, scored in full; "
    abstained = f"abstained: not sure enough for at most {100 * abstention.risk:g} % errors; "
    return held + ("" if abstention.warning else abstained)


def _finding(finding: Finding | None) -> tuple[str | Text, str | Text]:
    if finding is None:
        return "not tested", "–"
    if finding.warning:
        return Text(finding.cell, "bold red"), Text(finding.short_cell, "bold red")
    return finding.cell, finding.short_cell
