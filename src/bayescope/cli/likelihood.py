"""``bayescope likelihood``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayescope.cli.classify import read_images
from bayescope.cli.options import Device, Frame, Resize
from bayescope.cli.output import add_row, new_table, print_json, show, warn
from bayescope.cli.progress import bar
from bayescope.cli.tables import Column, Table

if TYPE_CHECKING:
    from bayescope.inference.likelihood import ExactLikelihood
    from bayescope.inference.model import LikelihoodModel

NAME = "likelihood"
_COLUMNS = (
    Column("image", kind="name"),
    Column("class", kind="label"),
    Column("log-likelihood", "log p", right=True),
    Column("±", right=True),
    Column("bits per pixel", "bits/pixel", right=True),
    Column("passes", right=True),
)


def command(
    run: Annotated[Path, typer.Argument(help="Run folder of `bayescope train`.")],
    images: Annotated[list[Path], typer.Argument(help="Image files and folders, as for `bayescope classify`.")],
    frame: Frame = None,
    solver: Annotated[str | None, typer.Option(help="adaptive, heun or rk4.")] = None,
    tolerance: Annotated[float | None, typer.Option(help="Of the adaptive solver: relative, and in nats per pixel.")] = None,
    steps: Annotated[int | None, typer.Option(help="Of heun and rk4, even in log σ.")] = None,
    trace: Annotated[str | None, typer.Option(help="exact, rademacher or gaussian.")] = None,
    probes: Annotated[int | None, typer.Option(help="Of the trace, the same for every class.")] = None,
    resize: Resize = False,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each image and unreadable file.")] = False,
) -> None:
    """log p(image | class) in nats by the probability flow. Exit code 1 if some images could not be read.

    Example: bayescope likelihood runs/breast a.png --tolerance 1e-5 --probes 8
    """
    from bayescope.inference.likelihood import exact_likelihood, flow_settings
    from bayescope.runs.model_file import load_model

    model = load_model(run, device)
    settings = flow_settings(model, solver=solver, tolerance=tolerance, steps=steps, trace=trace, probes=probes)
    given = read_images(model, images, frame, resize)
    records = given.left_out_records()
    if given.names:
        with bar("integrating the flow", len(given)) as advance:
            found = exact_likelihood(model, given.pixels, settings, callback=advance, step=given.gray_level_steps)
        warn(found.warning)
        records = [*found.records(model, given.names, given.remarks), *records]
        if not as_json:
            show(_table(given.names, model, found))
    if as_json:
        for record in records:
            print_json(record)
    if given.failed:
        raise typer.Exit(1)


def _table(names: tuple[str, ...], model: LikelihoodModel, found: ExactLikelihood) -> Table:
    caption = "nats; ±: standard error of the difference from the best class; a backward pass counts as two"
    table = new_table(*_COLUMNS, caption=caption)
    for i, image in enumerate(names):
        for k, name in enumerate(model.class_names):
            value, error, bits = found.log_likelihood[i, k], found.standard_error[i, k], found.bits_per_dim[i, k]
            passes = str(found.passes[i]) if k == 0 else ""
            add_row(table, image, name, f"{value:.2f}", f"{error:.2f}", f"{bits:.3f}", passes)
    return table
