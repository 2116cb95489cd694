"""``bayescope likelihood``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from bayescope.cli.classify import by_class, left_out_records, read_images
from bayescope.cli.options import Device, Frame
from bayescope.cli.output import add_row, new_table, print_json, show, warn
from bayescope.cli.progress import bar

if TYPE_CHECKING:
    from bayescope.config import FlowConfig
    from bayescope.inference.likelihood import ExactLikelihood
    from bayescope.inference.model import LikelihoodModel
    from bayescope.inference.read import ModelInput

NAME = "likelihood"


def command(
    run: Annotated[Path, typer.Argument(help="Run folder of `bayescope train`.")],
    images: Annotated[list[Path], typer.Argument(help="Image files and folders, as for `bayescope classify`.")],
    frame: Frame = None,
    solver: Annotated[str | None, typer.Option(help="adaptive, heun or rk4.")] = None,
    tolerance: Annotated[float | None, typer.Option(help="Of the adaptive solver: relative, and in nats per pixel.")] = None,
    steps: Annotated[int | None, typer.Option(help="Of heun and rk4, even in log σ.")] = None,
    trace: Annotated[str | None, typer.Option(help="exact, rademacher or gaussian.")] = None,
    probes: Annotated[int | None, typer.Option(help="Of the trace, the same for every class.")] = None,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each image and unreadable file.")] = False,
) -> None:
    """log p(image | class) in nats by the probability flow. Exit code 1 if some images could not be read.

    Example: bayescope likelihood runs/breast a.png --tolerance 1e-5 --probes 8
    """
    from bayescope.inference.likelihood import blur_warning, exact_likelihood
    from bayescope.runs.model_file import load_model

    model = load_model(run, device)
    given = {"solver": solver, "tolerance": tolerance, "steps": steps, "trace": trace, "probes": probes}
    settings = _settings(model.config.flow, {name: value for name, value in given.items() if value is not None})
    given_images = read_images(model, images, frame)
    if given_images.names:
        with bar("integrating the flow", len(given_images)) as advance:
            found = exact_likelihood(model, given_images.pixels, settings, callback=advance, step=given_images.gray_level_steps)
        warn(blur_warning(model, settings, float(given_images.gray_level_steps.min())))
        _print_json(given_images, model, found) if as_json else show(_table(given_images.names, model, found))
    if as_json:
        for record in left_out_records(given_images):
            print_json(record)
    if given_images.failed:
        raise typer.Exit(1)


def _settings(flow: FlowConfig, given: dict[str, float | str]) -> FlowConfig:
    from bayescope.config import parse_config

    return parse_config({"flow": flow.model_dump() | given}).flow


def _print_json(images: ModelInput, model: LikelihoodModel, found: ExactLikelihood) -> None:
    for i, name in enumerate(images.names):
        record = {
            "image": name,
            "log_likelihood": by_class(model, found.log_likelihood[i].tolist()),
            "standard_error": by_class(model, found.standard_error[i].tolist()),
            "bits_per_dim": by_class(model, found.bits_per_dim[i].tolist()),
            "passes": int(found.passes[i]),
            "warnings": list(images.remarks[i]),
        }
        print_json(record)


def _table(names: tuple[str, ...], model: LikelihoodModel, found: ExactLikelihood) -> Table:
    numbers = ("log-likelihood", "±", "bits per pixel", "passes")
    caption = "nats; ±: standard error of the difference from the best class; a backward pass counts as two"
    table = new_table("image", "class", *numbers, caption=caption, right=numbers)
    for i, image in enumerate(names):
        for k, name in enumerate(model.class_names):
            value, error, bits = found.log_likelihood[i, k], found.standard_error[i, k], found.bits_per_dim[i, k]
            passes = str(found.passes[i]) if k == 0 else ""
            add_row(table, image, name, f"{value:.2f}", f"{error:.2f}", f"{bits:.3f}", passes)
    return table
