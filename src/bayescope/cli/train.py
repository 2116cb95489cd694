"""``bayescope train``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayescope.cli.options import NormaliseLabels, Strict, report_warnings
from bayescope.cli.output import complain, leave_to_first_process, resumable, say, warn
from bayescope.cli.progress import counter, stages, training_bars

if TYPE_CHECKING:
    from bayescope.data.dataset import Dataset
    from bayescope.training.loop import Progress

NAME = "train"


_OVERRIDES = {
    "training.steps": "Optimiser steps, those of `generative_steps` included.",
    "evidence.levels": "Noise levels at which an image is scored, equally spaced in log σ.",
    "size": "Side in pixels to which the images of a folder or table are brought; left out: as they are.",
    "seed": "Seed of split, weights and noise.",
    "device": "`auto` (a GPU if there is one), `cpu` or `cuda`.",
    "devices": "Devices of each node that train together, each in a process of its own.",
    "nodes": "Machines that train together, started by `torchrun` or SLURM.",
    "strategy": "How processes train together. `auto`: `ddp` where there are several; `ddp`: the same for one.",
}
"""The settings that options override, with their descriptions in :mod:`bayescope.config`, which --help is not to load."""


def _overriding(key: str) -> str:
    return f"{_OVERRIDES[key]} Overrides `{key}` of the configuration."


def command(
    data: Annotated[
        Path, typer.Argument(help="MedMNIST .npz, folder of class folders, CSV/Parquet table, or cache of `bayescope prepare`.")
    ],
    out: Annotated[Path, typer.Option(help="Run folder to write.")],
    config: Annotated[Path | None, typer.Option(help="TOML configuration; see recipes/.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help=_overriding("training.steps"))] = None,
    levels: Annotated[int | None, typer.Option(min=1, help=_overriding("evidence.levels"))] = None,
    unlabelled: Annotated[
        Path | None,
        typer.Option(help="More images, read without labels: a folder, table, .npz file or cache. They teach p(x)."),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(help="Run folder whose network training starts from; other classes, images and sizes will do."),
    ] = None,
    size: Annotated[int | None, typer.Option(min=4, help=_overriding("size"))] = None,
    seed: Annotated[int | None, typer.Option(min=0, help=_overriding("seed"))] = None,
    device: Annotated[str | None, typer.Option(help=_overriding("device"))] = None,
    devices: Annotated[int | None, typer.Option(min=1, help=_overriding("devices"))] = None,
    nodes: Annotated[int | None, typer.Option(min=1, help=_overriding("nodes"))] = None,
    strategy: Annotated[str | None, typer.Option(help=_overriding("strategy"))] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the last checkpoint in --out.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the run in --out.")] = False,
    checkpoint_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 250,
    logger: Annotated[
        list[str] | None,
        typer.Option(help="Log settings, losses, measures and a report to tensorboard or mlflow. Repeat for several."),
    ] = None,
    normalise_labels: NormaliseLabels = False,
    strict: Strict = False,
) -> None:
    """Train a likelihood classifier.

    Example: bayescope train breastmnist.npz --out runs/breast --config recipes/medmnist/breastmnist.toml

    On four GPUs: bayescope train caches/mass --out runs/mass --devices 4
    """
    from bayescope.config import Config, read_config
    from bayescope.diffusion.device import check_started_alone, join_processes
    from bayescope.errors import RunError, reading
    from bayescope.fitting.fit import fit_run
    from bayescope.fitting.words import check_words
    from bayescope.runs.files import CONFIG
    from bayescope.runs.folder import started_steps
    from bayescope.runs.model_file import load_model
    from bayescope.tracking.loggers import training_log

    with reading(out, RunError):
        source = config or (out / CONFIG if resume and (out / CONFIG).is_file() else None)
    given: dict[str, Any] = {"training": {"steps": steps}, "evidence": {"levels": levels}}
    given |= {"size": size, "seed": seed, "device": device, "devices": devices, "nodes": nodes, "strategy": strategy}
    settings = _override(read_config(source) if source else Config(), given)
    check_words(settings)
    check_started_alone(settings)
    fabric = join_processes(settings)
    if not fabric.is_global_zero:
        leave_to_first_process(speaks_of_errors=fabric.local_rank == 0)
    dataset = load(data, settings.size, settings.seed, normalise_labels, strict, unlabelled)
    _warn_of_validation(dataset)
    begin = load_model(init) if init else None
    done = started_steps(out) if resume else 0
    loggers = logger or [] if fabric.is_global_zero else []
    with resumable(lambda: _kept(out)), training_log(loggers, settings, out) as log:
        with training_bars(dataset, settings, done) as (step, scored):

            def watch(progress: Progress) -> None:
                step(progress)
                log.watch(progress)

            fit_run(dataset, settings, out, resume, checkpoint_every, watch, scored, data, force, begin)
        if loggers:
            with stages() as progress:
                log.finish(dataset, data, normalise_labels, progress)
    more = "" if dataset.unlabelled is None else f" and {len(dataset.unlabelled)} without labels"
    say(f"Trained on {len(dataset.train)} images of {dataset.n_classes} classes{more}: {out}")
    say(f"Next: bayescope evaluate {out} {data}", style="dim")


def _kept(out: Path) -> str:
    """What is in the run folder of an interrupted training."""
    from bayescope.errors import BayescopeError
    from bayescope.runs.folder import started_steps

    try:
        steps = started_steps(out)
    except BayescopeError:
        steps = 0
    if not steps:
        return f"{out} has no checkpoint yet (--checkpoint-every); start again with --force"
    return f"{out} has step {steps}; continue with the same command and --resume"


def _warn_of_validation(data: Dataset) -> None:
    counts = [int((data.val.labels == k).sum()) for k in range(data.n_classes)]
    if min(counts) == 0:
        warn(
            f"validation images per class: {counts}; expected some of each. Levels keep their plain weights, likelihood ratios "
            "stay uncalibrated, and there are no prediction sets. Put some of each there: by a val folder, a split column, or "
            "`bayescope prepare --val-fraction`"
        )


def load(
    data: Path,
    size: int | None,
    seed: int,
    normalise_labels: bool = False,
    strict: bool = False,
    unlabelled: Path | None = None,
) -> Dataset:
    """Read ``data``, and additional images ``unlabelled``, with a progress bar.

    Says which files of a folder were used, and what to know of the images.

    With ``strict`` a warning is a DataError.
    """
    from bayescope.data.copies import overlaps
    from bayescope.data.load import load_dataset
    from bayescope.data.unlabelled import with_unlabelled

    with counter("reading images") as count:
        found = load_dataset(data, size, seed, count, normalise_labels)
    if found.files.found:
        complain(f"{data}: {found.files}", "yellow" if found.files.left_out else "dim")
    if unlabelled is not None:
        with counter("reading images without labels") as count:
            found = with_unlabelled(found, unlabelled, size, count)
    found = replace(found, warnings=(*found.warnings, *overlaps(found)))
    report_warnings(found.warnings, strict)
    return found


def _override(config: Any, given: dict[str, Any]) -> Any:
    """``config`` with all that is ``given``, one section deep, and is not None."""
    from bayescope.config import parse_config

    values = config.model_dump(exclude_none=True)
    for key, value in given.items():
        if isinstance(value, dict):
            values[key] |= {name: inner for name, inner in value.items() if inner is not None}
        elif value is not None:
            values[key] = value
    return parse_config(values)
