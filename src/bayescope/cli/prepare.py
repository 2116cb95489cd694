"""``bayescope prepare``."""

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayescope.cli.options import NormaliseLabels, Strict, frame_from_text, heed
from bayescope.cli.output import print_json, resumable, say, warn
from bayescope.cli.progress import bar
from bayescope.config import LARGEST_SEED

if TYPE_CHECKING:
    from bayescope.data.archives.base import Archive
    from bayescope.data.preparation.prepare import Result

NAME = "prepare"
_SHOWN = 10


class Kind(StrEnum):
    """The archives that are read."""

    CBIS_DDSM = "cbis-ddsm"
    INBREAST = "inbreast"
    VINDR = "vindr"
    FOLDER = "folder"


class Scheme(StrEnum):
    """How cases are divided."""

    OFFICIAL = "official"
    LEAK_FREE = "leak-free"
    FOLDS = "folds"
    TEST = "test"


def command(
    archive: Annotated[Kind, typer.Argument(help="Which archive SOURCE holds; folder: class folders, or a case table.")],
    source: Annotated[Path, typer.Argument(help="Its folder as downloaded, tables and images anywhere in it.")],
    out: Annotated[Path, typer.Option(help="Folder of the cache to write; one left unfinished is gone on with.")],
    size: Annotated[int, typer.Option(min=8, help="Side of the prepared images, pixels.")],
    task: Annotated[
        str | None,
        typer.Option(
            help="cbis-ddsm: mass|calc|both-roi|full, such as mass-roi; inbreast, vindr: BI-RADS groups, such as 1-3/4-5."
        ),
    ] = None,
    split: Annotated[
        Scheme | None,
        typer.Option(
            help="Division of the cases (default: the official one; inbreast: folds; folder: as given, or drawn); test: "
            "a folder all for testing, as an outside set is."
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
    max_broken: Annotated[int, typer.Option(min=0, help="Most files that may be broken.")] = 20,
    force: Annotated[bool, typer.Option("--force", help="Replace the cache in --out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Prepare the mammograms of an archive for training: DICOM or picture files to one mapped array and a case table.

    Example: bayescope prepare cbis-ddsm downloads/cbis --task mass-roi --size 128 --out caches/mass

    Example: bayescope prepare inbreast downloads/inbreast --task 1-3/4-6 --fold 2 --size 256 --out caches/inbreast-2
    """
    from bayescope.data.preparation.mammogram import Preparation
    from bayescope.data.preparation.prepare import prepare

    if force:
        _check_replaceable(out)
    if not as_json:
        say(f"reading {source}", style="dim")
    found = _read(archive, source, task, split, fold, folds, val_fraction, seed, frame, normalise_labels)
    heed([*_leaks(found), *(found.warnings if strict else ())], strict)  # without --strict the summary's notes tell of them
    if force:
        _remove(out)
    of_whole = bool((found.cases["kind"] != "roi").all())
    preparation = Preparation(
        size, of_whole if crop is None else crop, of_whole if orient is None else orient, clahe, window=window
    )
    kept = resumable(lambda: f"{out} holds what was done; go on with the same command{', without --force' * force}")
    with kept, bar("preparing images", len(found.cases)) as done:
        result = prepare(found, preparation, out, source, workers, max_broken, done)
    if as_json:
        summary = result.summary.to_dict()
        print_json({"summary": summary, "images": result.used, "broken": result.broken, "out": str(out)})
    else:
        say(str(result.summary))
        say(_told(result, out))
    _warn_of_broken(result)


def _leaks(found: "Archive") -> list[str]:
    """What to tell of patients in more than one split, as an archive's official division may have them."""
    by_split = found.cases.dropna(subset=["patient"]).groupby("patient")["split"].nunique()
    leaking = int((by_split > 1).sum())
    return (
        [f"{leaking} of {len(by_split)} patients are in more than one split: results on test are too good"] if leaking else []
    )


def _read(
    archive: Kind,
    source: Path,
    task: str | None,
    split: Scheme | None,
    fold: int | None,
    folds: int | None,
    val_fraction: float | None,
    seed: int,
    frame: str | None,
    normalise_labels: bool,
) -> "Archive":
    from bayescope.data.archives import cbis_ddsm, inbreast, vindr
    from bayescope.data.archives.image_folder import read_image_folder
    from bayescope.data.splits import Split
    from bayescope.errors import ConfigError

    if archive is Kind.FOLDER:
        if any(option is not None for option in (task, fold, folds, val_fraction)) or split not in (None, Scheme.TEST):
            raise ConfigError(
                "--task, --split, --fold, --folds or --val-fraction; expected none for a folder but --split test: its classes "
                "and "
                "splits are those it has"
            )
        return read_image_folder(source, seed, frame_from_text(frame), normalise_labels, split is Scheme.TEST)
    if frame is not None or normalise_labels or split is Scheme.TEST:
        raise ConfigError(
            f"--frame, --normalise-labels or --split test with {archive}; expected them with folder only. Leave them out"
        )
    readers = {
        Kind.CBIS_DDSM: (cbis_ddsm.read_cbis_ddsm, cbis_ddsm.TASKS, Scheme.OFFICIAL),
        Kind.INBREAST: (inbreast.read_inbreast, inbreast.TASKS, Scheme.FOLDS),
        Kind.VINDR: (vindr.read_vindr, vindr.TASKS, Scheme.OFFICIAL),
    }
    read, tasks, usual = readers[archive]
    if task is None:
        raise ConfigError(f"no --task; expected one, such as: {', '.join(tasks)}")
    scheme = split or usual
    if scheme is not Scheme.FOLDS and (fold is not None or folds is not None):
        raise ConfigError(f"--fold or --folds with the {scheme} split; expected them with folds only. Add --split folds")
    chosen = Split(scheme, seed=seed)
    return read(
        source,
        task,
        replace(
            chosen,
            fold=chosen.fold if fold is None else fold,
            folds=chosen.folds if folds is None else folds,
            val_fraction=chosen.val_fraction if val_fraction is None else val_fraction,
        ),
    )


def _check_replaceable(out: Path) -> None:
    from bayescope.data.preparation.cache import is_cache
    from bayescope.errors import RunError, reading

    with reading(out, RunError):
        is_free = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    if not is_free and not is_cache(out):
        raise RunError(f"{out}: exists and is no cache; --force replaces caches only. Give another --out")


def _remove(out: Path) -> None:
    """Take away what preparing wrote, and nothing else."""
    from bayescope.data.preparation.cache import CASES, IMAGES, PARTIAL, PROGRESS
    from bayescope.data.preparation.manifest import MANIFEST
    from bayescope.errors import writing

    with writing(out):
        for name in (MANIFEST, IMAGES, CASES, PARTIAL, PROGRESS):
            (out / name).unlink(missing_ok=True)


def _told(result: "Result", out: Path) -> str:
    if result.unchanged:
        return f"Nothing to do: {out} holds these {result.used} images already"
    trains = sum(result.summary.counts["train"].values()) > 0
    following = f"bayescope train {out} --out RUN" if trains else f"bayescope evaluate RUN {out}"
    return f"Prepared {result.used} images: {out}\nNext: {following}"


def _warn_of_broken(result: "Result") -> None:
    for text in list(result.broken.values())[:_SHOWN]:
        warn(f"left out: {text}")
    if len(result.broken) > _SHOWN:
        warn(f"… and {len(result.broken) - _SHOWN} more broken files; all are listed in cache.json")
