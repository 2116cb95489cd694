"""``bayescope prepare``."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayescope.cli.engines import ENGINE_HELP, Address
from bayescope.cli.options import NormaliseLabels, Strict, frame_from_text, report_warnings
from bayescope.cli.output import print_json, resumable, say, warn
from bayescope.cli.progress import counter
from bayescope.data.archives import ARCHIVES, FOLDER
from bayescope.types import LARGEST_SEED

if TYPE_CHECKING:
    from bayescope.data.preparation.prepare import Result

NAME = "prepare"
_SHOWN = 10
_KINDS = ", ".join([*ARCHIVES, FOLDER])
_TASKS = ", ".join(f"{reader.tasks[0]} ({kind})" for kind, reader in ARCHIVES.items())
_SPLITS = ", ".join(f"{reader.scheme} ({kind})" for kind, reader in ARCHIVES.items())


class Scheme(StrEnum):
    """How cases are split."""

    OFFICIAL = "official"
    LEAK_FREE = "leak-free"
    FOLDS = "folds"
    TEST = "test"


def command(
    archive: Annotated[
        str, typer.Argument(help=f"Which archive SOURCE is: {_KINDS}; {FOLDER}: class folders, or a case table.")
    ],
    source: Annotated[Path, typer.Argument(help="Its folder as downloaded, tables and images anywhere in it.")],
    out: Annotated[Path, typer.Option(help="Folder of the cache to write; an unfinished one is continued.")],
    size: Annotated[int, typer.Option(min=8, help="Side of the prepared images, pixels.")],
    task: Annotated[
        str | None,
        typer.Option(help=f"Which images and classes, such as {_TASKS}; without it, the error names more. None for a folder."),
    ] = None,
    split: Annotated[
        Scheme | None,
        typer.Option(
            help=f"How cases are split (default: {_SPLITS}; folder: as given, or drawn); test: a folder all for testing, as "
            "an outside set is."
        ),
    ] = None,
    fold: Annotated[
        int | None, typer.Option(min=0, help="Which of the folds to test on, from 0 (default: 0); with --split folds.")
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=2, help="Number of folds, drawn by patient (default: 5); with --split folds.")
    ] = None,
    val_fraction: Annotated[
        float | None, typer.Option(help="Share of the training patients drawn for validation (default: 0.1).")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Seed of drawn splits.")] = 0,
    crop: Annotated[
        bool | None, typer.Option("--crop/--no-crop", help="Keep the breast only (default: unless the task is of ROIs).")
    ] = None,
    orient: Annotated[
        bool | None, typer.Option("--orient/--no-orient", help="Chest wall to the left (default: unless the task is of ROIs).")
    ] = None,
    clahe: Annotated[bool, typer.Option("--clahe", help="Equalize contrast locally, as the paper does.")] = False,
    window: Annotated[
        int, typer.Option(min=0, help="Which of several VOI windows or LUTs of a DICOM file to apply, from 0.")
    ] = 0,
    frame: Annotated[
        str | None,
        typer.Option(
            help="folder: which frame of DICOM files of several, counted from 1, or all (a column frame goes before)."
        ),
    ] = None,
    normalise_labels: NormaliseLabels = False,
    strict: Strict = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes (default: one for each core).")] = None,
    engine: Annotated[str, typer.Option(help=f"{ENGINE_HELP}.")] = "local",
    address: Address = None,
    max_broken: Annotated[int, typer.Option(min=0, help="Most files that may be broken.")] = 20,
    force: Annotated[bool, typer.Option("--force", help="Replace the cache in --out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Prepare the mammograms of an archive for training: DICOM or picture files to one mapped array and a case table.

    Example: bayescope prepare cbis-ddsm downloads/cbis --task mass-roi --size 128 --out caches/mass

    Example: bayescope prepare inbreast downloads/inbreast --task 1-3/4-6 --fold 2 --size 256 --out caches/inbreast-2
    """
    from bayescope.data.preparation.prepare import prepare_archive

    if not as_json:
        say(f"reading {source}", style="dim")
    begun = False
    with resumable(lambda: _kept(out, begun, force)), counter("preparing images") as count:

        def counted(done: int, total: int) -> None:
            nonlocal begun
            begun = True
            count(done, total)

        result = prepare_archive(
            archive,
            source,
            out,
            size,
            task,
            split,
            fold=fold,
            folds=folds,
            val_fraction=val_fraction,
            seed=seed,
            crop=crop,
            orient=orient,
            clahe=clahe,
            window=window,
            frame=frame_from_text(frame),
            normalise_labels=normalise_labels,
            workers=workers,
            engine=engine,
            address=address,
            max_broken=max_broken,
            force=force,
            warned=partial(report_warnings, strict=strict),
            callback=counted,
        )
    if as_json:
        summary = result.summary.to_dict()
        print_json({"summary": summary, "images": result.used, "broken": result.broken, "out": str(out)})
    else:
        say(str(result.summary))
        say(_describe(result, out))
    _warn_of_broken(result)


def _kept(out: Path, begun: bool, force: bool) -> str:
    if not begun:
        return f"nothing was written to {out}"
    return f"{out} has what was done; continue with the same command{', without --force' * force}"


def _describe(result: "Result", out: Path) -> str:
    if result.unchanged:
        return f"Nothing to do: {out} contains these {result.used} images already"
    trains = sum(result.summary.counts["train"].values()) > 0
    following = f"bayescope train {out} --out RUN" if trains else f"bayescope evaluate RUN {out}"
    return f"Prepared {result.used} images: {out}\nNext: {following}"


def _warn_of_broken(result: "Result") -> None:
    for text in list(result.broken.values())[:_SHOWN]:
        warn(f"left out: {text}")
    if len(result.broken) > _SHOWN:
        warn(f"… and {len(result.broken) - _SHOWN} more broken files; all are listed in cache.json")
