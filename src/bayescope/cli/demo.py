"""``bayescope demo``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from bayescope.cli.evaluate import class_table, measures_table
from bayescope.cli.output import resumable, say, show, warn
from bayescope.cli.progress import stages
from bayescope.json_values import finite

NAME = "demo"


def command(
    out: Annotated[Path, typer.Option(help="Run folder to write.")] = Path("demo-run"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of images, weights and noise.")] = 0,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Training steps (default: done in under five minutes on two cores).")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the run in --out.")] = False,
) -> None:
    """Train on a phantom whose truth is known and compare with the ideal observer (under 5 minutes, no download).

    Example: bayescope demo --out demo-run
    """
    from bayescope.evaluation.demo_run import run_demo
    from bayescope.runs.files import MEASURES, write_atomically

    with resumable(lambda: "the demo cannot be resumed; start again with --force"), stages() as progress:
        demo = run_demo(out, seed, steps, force=force, progress=progress)
    write_atomically(out / MEASURES, json.dumps(finite(demo.to_dict()), indent=1).encode())
    warn(demo.found.model.calibration.warning)
    images = demo.found.images
    title = f"{len(images)} phantom images: {', '.join(images.class_names)}"
    show(measures_table(title, demo.measures, ideal_observer=demo.ideal))
    for name, share in demo.attained.items():
        say(f"{name}: {100 * share:.0f} % of what is attainable above chance")
    show(class_table(demo.found))
    say(f"Report: {demo.report}")
