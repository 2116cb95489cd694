"""``bayescope evaluate``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayescope.cli.groups import AnyOf, By, check_grouping, scoring_rate
from bayescope.cli.options import (
    Device,
    DisagreementRate,
    MaxPasses,
    NormaliseLabels,
    Positive,
    Prevalence,
    Resize,
    Strict,
    prior_from_text,
    report_warnings,
)
from bayescope.cli.output import (
    add_row,
    check_free,
    complain,
    format_values,
    new_table,
    print_json,
    say,
    show,
    warn,
    write_json_lines,
)
from bayescope.cli.progress import stages
from bayescope.cli.tables import Column, Table

if TYPE_CHECKING:
    from bayescope.evaluation.evaluate import Evaluation, Trust
    from bayescope.evaluation.group_evaluation import GroupEvaluation
    from bayescope.evaluation.selection import ChosenImages
    from bayescope.metrics.bootstrap import Estimate

NAME = "evaluate"


def command(
    run: Annotated[Path, typer.Argument(help="Run folder of `bayescope train`.")],
    data: Annotated[Path, typer.Argument(help="The data the run was trained on, or other data of the same classes and size.")],
    split: Annotated[
        str,
        typer.Option(
            help="auto: all images of data the run was not trained on, or else its own test images; all: every image it was "
            "not trained or validated on; test, val, train."
        ),
    ] = "auto",
    pool: Annotated[
        list[Path] | None,
        typer.Option(
            help="Run trained on another fold of the data: measured on its own test images, and its predictions pooled. Repeat "
            "for each fold."
        ),
    ] = None,
    by: By = None,
    any_of: AnyOf = None,
    positive: Positive = None,
    prevalence: Prevalence = None,
    disagreement_rate: DisagreementRate = None,
    max_passes: MaxPasses = None,
    normalise_labels: NormaliseLabels = False,
    strict: Strict = False,
    resize: Resize = False,
    device: Device = "auto",
    out: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace --out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a trained classifier on labelled images it has not seen.

    Example: bayescope evaluate runs/breast breastmnist.npz --positive malignant

    Example: bayescope evaluate runs/breast other-hospital --prevalence "malignant=0.01,normal or benign=0.99" --json

    Example: bayescope evaluate runs/mias-0 caches/mias-0 --pool runs/mias-1 --pool runs/mias-2 --by patient --any abnormal
    """
    from bayescope.evaluation.evaluate import check_class
    from bayescope.evaluation.folds import Fold, evaluate_folds
    from bayescope.evaluation.group_evaluation import evaluate_groups
    from bayescope.runs.model_file import read_class_names

    if out is not None:
        check_free(out, force)
    check_grouping(by, any=any_of)
    if any_of is not None:
        check_class(any_of, read_class_names(run), "--any")
    prior = prior_from_text(prevalence, read_class_names(run)) if prevalence is not None else None
    with stages() as progress:
        found, chosen = evaluate_folds(
            [Fold(run, data), *map(Fold.of, pool or [])],
            split=split,
            class_prior=prior,
            disagreement_rate=scoring_rate(by, disagreement_rate),
            max_passes=max_passes,
            positive=positive,
            normalise_labels=normalise_labels,
            resize=resize,
            device=device,
            warned=partial(report_warnings, strict=strict),
            progress=progress,
        )
    for one in chosen:
        if (files := one.data.files).found:
            complain(f"{one.data.source}: {files}", "yellow" if files.left_out else "dim")
    for text in found.calibration_warnings:
        warn(text)
    grouped = None if by is None else evaluate_groups(found, [len(one.images) for one in chosen], by, any_of)
    record = found.to_dict(*chosen) | ({} if grouped is None else {"groups": grouped.to_dict()})
    if out is not None:
        write_json_lines(out, [record])
    if as_json:
        print_json(record)
    else:
        _print_tables(found, chosen)
        if grouped is not None:
            _print_groups(grouped)


def measures_table(title: str, measures: Mapping[str, Estimate], **others: Mapping[str, Estimate]) -> Table:
    """A table of measures with their intervals, next to those of other observers."""
    table = new_table("measure", "value (95 % interval)", *(name.replace("_", " ") for name in others), title=title)
    for key, estimate in measures.items():
        add_row(table, key, str(estimate), *(str(other[key]) for other in others.values()))
    return table


def class_table(found: Evaluation) -> Table:
    """What belongs to a class, under its name: of the positive class, or of all."""
    title = "Each class against the rest" if found.positive is None else f"{found.positive} against the rest"
    counts = ", ".join(f"{count} {name}" for name, count in found.class_counts.items())
    caption = (
        f"on {counts}; predictive values at prevalence {format_values(found.prevalence)}; an image is called its most probable "
        "class"
    )
    table = new_table(Column("measure", kind="prose"), "value (95 % interval)", title=title, caption=caption)
    for name, rows in found.by_class.items():
        if found.positive in (None, name):
            for what, estimate in rows.items():
                add_row(table, f"{what}, {name}", str(estimate))
    return table


def _print_tables(found: Evaluation, chosen: Sequence[ChosenImages]) -> None:
    from bayescope.evaluation.evaluate import decision_rows, rests_on

    seen = ", SEEN in training" if any(one.seen for one in chosen) else ""
    folds = f" of {len(chosen)} folds" if len(chosen) > 1 else ""
    passes = found.predictions.mean_passes
    title = f"{chosen[0].data.source}, {chosen[0].name}{folds}{seen}: {len(found.images)} images, {passes:.1f} passes each"
    show(measures_table(title, found.measures))
    show(class_table(found))
    show(_confusion_table(found))
    for name, rows in found.trust.items():
        if found.positive in (None, name):
            show(_trust_table(name, rows, found.calibrated))
    if found.calibrated:
        say(f"Calibration rests on validation images: {rests_on(found.calibration_images)}")
    if found.decisions:
        table = new_table(
            Column("sets and abstention", kind="prose"),
            "promised",
            Column("measured", kind="prose"),
            title="Decisions at the model's own prior; promises hold with --disagreement-rate 0",
        )
        for row in decision_rows(found.decisions):
            add_row(table, *row)
        show(table)


def _print_groups(found: GroupEvaluation) -> None:
    pooling = found.parts[0].pooling
    counts = ", ".join(f"{count} {name}" for name, count in found.class_counts.items())
    sizes = ", ".join(f"{count} of {size} images" for size, count in found.sizes.items())
    show(measures_table(f"By {pooling.by}: {counts}; {sizes}", found.measures, **found.others))
    for name, rows in found.trust.items():
        show(_trust_table(f"by {pooling.by}, {name}", rows, all(part.calibrated for part in found.parts)))
    correlations = ", ".join(f"{part.pooling.correlation:.2f}" for part in found.parts)
    say(f"Rule: {found.parts[0].rule}. Correlation of its images' evidence: {correlations}")
    for text in found.warnings:
        warn(text)


def _confusion_table(found: Evaluation) -> Table:
    names = found.model.class_names
    table = new_table(
        Column("true class", kind="label"), *(f"called {name}" for name in names), title="Images by true class and class called"
    )
    for name, row in found.confusion.items():
        add_row(table, name, *(str(row[other]) for other in names))
    return table


def _trust_table(name: str, rows: Mapping[str, Trust], calibrated: bool) -> Table:
    title = f"{name} against the rest{'' if calibrated else ': UNCALIBRATED likelihood ratios'}"
    columns = (Column("measure", kind="prose"), "value (95 % interval)", "expected if calibrated (95 % range)")
    table = new_table(
        *columns, title=title, caption="Cllr: bits; expected: of perfectly calibrated probabilities on as many images"
    )
    for what, row in rows.items():
        add_row(table, what, str(row.measured), str(row.expected_if_calibrated))
    return table
