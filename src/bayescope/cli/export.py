"""``bayescope export``."""

from pathlib import Path
from typing import Annotated

import typer

from bayescope.cli.output import check_free, print_json, say
from bayescope.cli.progress import stages

NAME = "export"


def command(
    run: Annotated[Path, typer.Argument(help="Run folder of `bayescope train`.")],
    format: Annotated[str, typer.Option(help="onnx or torch-export.")] = "onnx",
    out: Annotated[
        Path | None,
        typer.Option(help="File of the graph (default: in the run folder, for `bayescope classify --runtime onnx`)."),
    ] = None,
    half: Annotated[
        bool,
        typer.Option(
            "--half",
            help="Store the network's weights in half precision; refused if a likelihood ratio of the run's validation images "
            "changes by more than 0.05 nats.",
        ),
    ] = False,
    data: Annotated[
        Path | None, typer.Option(help="Data with the validation images, for --half (default: the data trained on).")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Export the scoring of one draw as a graph, with plan, calibration and noises beside it.

    Example: bayescope export runs/breast --format onnx
    """
    from bayescope.export.export import Exported, export_run
    from bayescope.export.runtime import graph_file

    for path in Exported.beside(out or graph_file(run, format)).files:
        check_free(path, force)
    with stages() as progress:
        found = export_run(run, format, out, half=half, data=data, progress=progress)
    if as_json:
        print_json(found.to_dict())
        return
    if found.difference is not None:
        say(f"Largest change of a likelihood ratio of the validation images: {found.difference:.2g} nats")
    for what, path in zip(("Graph", "Plan and calibration", "Noises"), found.files, strict=True):
        say(f"{what}: {path}")
