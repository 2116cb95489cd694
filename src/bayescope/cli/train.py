"""``bayescope train``."""

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from bayescope.cli.events import tensorboard_log
from bayescope.cli.progress import console, counter, training_bars
from bayescope.data.images import Dataset
from bayescope.training.loop import Progress

NAME = "train"


def command(
    data: Annotated[
        Path, typer.Argument(help="MedMNIST .npz, folder of class folders, CSV/Parquet table, or cache of `bayescope prepare`.")
    ],
    out: Annotated[Path, typer.Option(help="Run folder to write.")],
    config: Annotated[Path | None, typer.Option(help="TOML configuration; see recipes/.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps (overrides the configuration).")] = None,
    size: Annotated[
        int | None, typer.Option(min=4, help="Bring the images of a folder or table to SIZE by SIZE pixels.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of split, weights and noise.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the last checkpoint in --out.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the run in --out.")] = False,
    checkpoint_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 250,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write TensorBoard events.")] = False,
) -> None:
    """Train a likelihood classifier.

    Example: bayescope train breastmnist.npz --out runs/breast --config recipes/medmnist/breastmnist.toml
    """
    from bayescope.checkpoint import CONFIG
    from bayescope.config import Config, parse_config, read_config
    from bayescope.fit import fit_run, started_steps

    source = config or (out / CONFIG if resume and (out / CONFIG).is_file() else None)
    settings = _override(read_config(source) if source else Config(), parse_config, steps, size, seed, device)
    dataset = load(data, settings.size, settings.seed)
    if force and not resume:
        remove_run(out)
    done = started_steps(out) if resume else 0
    folder = out / "tensorboard" if tensorboard else None
    with tensorboard_log(folder) as log, training_bars(dataset, settings.training.steps, done) as (step, weighed):

        def watch(progress: Progress) -> None:
            step(progress)
            log(progress)

        fit_run(dataset, settings, out, resume, checkpoint_every, watch, weighed, data)
    console.print(f"Trained on {len(dataset.train)} images of {dataset.n_classes} classes: {out}")
    console.print(f"Next: bayescope evaluate {out} {data}", style="dim")


def load(data: Path, size: int | None, seed: int) -> Dataset:
    """Read ``data`` with a progress bar."""
    from bayescope.data.sources import load_dataset

    with counter("reading images") as count:
        return load_dataset(data, size, seed, count)


def remove_run(out: Path) -> None:
    """Remove ``out`` if it is a run folder.  Raises RunError if it is anything else."""
    from bayescope.checkpoint import MANIFEST, MODEL, writing
    from bayescope.errors import RunError

    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not out.is_dir() or not ((out / MANIFEST).is_file() or (out / MODEL).is_file()):
        raise RunError(f"{out}: exists and is no run folder; --force replaces run folders only. Give another --out")
    with writing(out):
        shutil.rmtree(out)


def _override(config: Any, parse: Any, steps: int | None, size: int | None, seed: int | None, device: str | None) -> Any:
    values = config.model_dump(exclude_none=True)
    values |= {k: v for k, v in {"size": size, "seed": seed, "device": device}.items() if v is not None}
    if steps is not None:
        values["training"]["steps"] = steps
    return parse(values)
