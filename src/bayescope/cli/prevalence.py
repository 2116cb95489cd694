"""``bayescope prevalence``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayescope.cli.options import Device, Frame, Resize, frame_from_text
from bayescope.cli.output import add_row, check_free, complain, new_table, print_json, say, show, warn, write_json_lines
from bayescope.cli.progress import bar, late_counter
from bayescope.cli.tables import Column

if TYPE_CHECKING:
    from bayescope.evaluation.prevalence import Prevalence

NAME = "prevalence"


def command(
    run: Annotated[Path, typer.Argument(help="Run folder of `bayescope train`.")],
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Unlabelled images: files, folders, or one CACHE of `bayescope prepare`; DICOM for a prepared model."
        ),
    ],
    frame: Frame = None,
    resize: Resize = False,
    device: Device = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace --out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Estimate the class frequencies of unlabelled images, with intervals, and test whether the model fits them.

    The images are scored in full. Exit code 1 if some could not be read.

    Example: bayescope prevalence runs/breast archive/2026 --json
    """
    from bayescope.evaluation.prevalence import estimate_prevalence
    from bayescope.evaluation.unlabelled_input import read_site_images
    from bayescope.runs.folder import read_record
    from bayescope.runs.model_file import load_model

    if out is not None:
        check_free(out, force)
    model = load_model(run, device)
    with late_counter("reading images") as count:
        found = read_site_images(model, read_record(run), images, frame_from_text(frame), resize, count)
    for file in found.failed:
        complain(f"not read: {file.reason}")
    with bar("scoring images", len(found.pixels)) as advance:
        predictions = model.classify(found.pixels, disagreement_rate=0.0, callback=advance)
    estimated = estimate_prevalence(model, predictions, found.patients, seed)
    for text in (*found.warnings, *estimated.warnings):
        warn(text)
    record = estimated.to_dict() | {"warnings": [*found.warnings, *estimated.warnings]}
    if out is not None:
        write_json_lines(out, [record])
    if as_json:
        print_json(record)
    else:
        _print(estimated)
    if found.failed:
        raise typer.Exit(1)


def _print(found: Prevalence) -> None:
    unit = "images" if found.patients == found.images else f"images of {found.patients} patients"
    caption = "called: share of the images whose most probable class is this, at the model's own prior; not an estimate"
    table = new_table(
        Column("class", kind="label"), "frequency (95 % interval)", "called", title=f"{found.images} {unit}", caption=caption
    )
    for name, estimate in found.frequencies.items():
        add_row(table, name, str(estimate), f"{found.called[name]:.3f}")
    show(table)
    if (fit := found.plausibility) is not None and not fit.is_doubtful:
        say(f"The images are like those the model was validated on, as far as the novelty test tells (p = {fit.p_value:.2g})")
    say(f'For other commands: --prevalence "{found.option()}"')
