"""``bayescope sample``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated

import typer

from bayescope.cli.options import Device
from bayescope.cli.output import check_free, say
from bayescope.cli.progress import bar

NAME = "sample"


def command(
    run: Annotated[Path, typer.Argument(help="Run folder of `bayescope train`.")],
    out: Annotated[Path, typer.Option(help="PNG file to write: a row of samples per class.")] = Path("samples.png"),
    per_class: Annotated[int, typer.Option(min=1, help="Samples per class.")] = 8,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the probability flow, two passes each.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Seed; samples of a column share their noise.")] = 0,
    device: Device = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Draw samples from the model for each class.

    Example: bayescope sample runs/breast --out samples.png --per-class 12
    """
    import numpy as np
    from PIL import Image

    from bayescope.runs.files import write_atomically
    from bayescope.runs.model_file import load_model

    check_free(out, force)
    model = load_model(run, device)
    with bar("sampling", 1) as advance:
        samples = model.sample(per_class, steps, seed)
        advance(1)
    rows = [np.concatenate(list(model.scale.to_display(row)), axis=1) for row in samples]
    picture = io.BytesIO()
    Image.fromarray(np.concatenate(rows, axis=0)).save(picture, format="PNG")
    write_atomically(out, picture.getvalue())
    say(f"{out}: rows {', '.join(model.class_names)}")
