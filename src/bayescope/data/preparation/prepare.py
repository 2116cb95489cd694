"""Prepares the files of an archive as a cache, in several workers; an interrupted preparation is resumed.

Memory is that of one file for each process, whatever the size of the archive.  What was done is recorded by
:mod:`bayescope.data.preparation.journal`; of a finished cache, only files that have changed or were broken are prepared again.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pandas as pd

from bayescope.data.archives import read_archive
from bayescope.data.archives.base import Archive, Summary
from bayescope.data.labelled import SPLITS
from bayescope.data.preparation import cache, journal
from bayescope.data.preparation.finish import finish, relative_name, versions
from bayescope.data.preparation.mammogram import Preparation
from bayescope.data.preparation.manifest import FORMAT, MANIFEST, Manifest, read_manifest
from bayescope.data.preparation.workers import Broken, Done, outcomes_of
from bayescope.data.tables.cases import Callback
from bayescope.engines import open_engine
from bayescope.engines.engine import Engine
from bayescope.engines.local import LocalEngine
from bayescope.errors import DataError, RunError, reading, writing

_SHOWN = 5


@dataclass(frozen=True)
class Result:
    """What came of preparing.

    Parameters
    ----------
    used : int
        Images in the cache.
    broken : dict of str to str
        Why a file was left out, by its path.
    summary : Summary
        What was found and used, with findings from the files.
    unchanged : bool
        Whether the cache was complete already, so that nothing was done.
    warnings : tuple of str
        What to know of the data before trusting a result on them.
    """

    used: int
    broken: dict[str, str]
    summary: Summary
    unchanged: bool
    warnings: tuple[str, ...] = ()


def prepare_archive(
    kind: str,
    source: Path,
    out: Path,
    size: int,
    task: str | None = None,
    split: str | None = None,
    *,
    fold: int | None = None,
    folds: int | None = None,
    val_fraction: float | None = None,
    seed: int = 0,
    crop: bool | None = None,
    orient: bool | None = None,
    clahe: bool = False,
    window: int = 0,
    frame: int | Literal["all"] | None = None,
    normalise_labels: bool = False,
    workers: int | None = None,
    engine: str = "local",
    address: str | None = None,
    max_broken: int = 20,
    force: bool = False,
    warned: Callable[[Sequence[str]], None] = lambda warnings: None,
    callback: Callback = lambda done, total: None,
) -> Result:
    """Prepare the images of an archive or a folder for training, as ``bayescope prepare`` does.

    Parameters
    ----------
    kind, source, task, split, fold, folds, val_fraction, seed, frame, normalise_labels
        As of :func:`bayescope.data.archives.read_archive`.
    out : Path
        Folder of the cache, created if missing; an unfinished one is continued.
    size : int
        Side of the prepared images, pixels.
    crop, orient : bool, optional
        Whether to keep the breast only, and to turn the chest wall to the left; by default unless the images are of lesions.
    clahe : bool, default False
        Whether to equalize contrast locally.
    window : int, default 0
        Which of several VOI windows or LUTs of a DICOM file to apply, from 0.
    workers : int, optional
        Processes; by default one for each core, of the cluster with ``engine="ray"``.
    engine : str, default "local"
        ``"local"``, or ``"ray"``: see :data:`bayescope.engines.ENGINES`.  On a cluster, files and ``out`` must have the same
        paths on every node.
    address : str, optional
        Address of a running Ray cluster (default: one is started on this machine).
    max_broken : int, default 20
        Most files that may be broken.
    force : bool, default False
        Whether to replace the cache in ``out``.
    warned : callable, optional
        Called with the warnings about the data before any image is prepared; it may raise to stop there.
    callback : callable, optional
        Called with the number of files done and the number of all.

    Returns
    -------
    Result
        What was prepared, what was left out and why.

    Raises
    ------
    ConfigError
        For settings that are unknown, out of range or do not go together.
    DataError
        If the archive cannot be read, contains no image of the task, or all its files are broken.
    RunError
        If ``out`` contains anything else or cannot be written, or more than ``max_broken`` files are broken.

    Examples
    --------
    >>> prepare_archive("inbreast", Path("downloads/inbreast"), Path("caches/2"), 256, "1-3/4-6", fold=2)  # doctest: +SKIP
    """
    opened = open_engine(engine, workers or (_cores() if engine == "local" else None), address)
    if force:
        cache.check_replaceable(out)
    archive = read_archive(
        kind,
        source,
        task,
        split,
        fold=fold,
        folds=folds,
        val_fraction=val_fraction,
        seed=seed,
        frame=frame,
        normalise_labels=normalise_labels,
    )
    warnings = (*_leaks(archive), *archive.warnings)
    warned(warnings)
    whole = bool((archive.cases["kind"] != "roi").all())
    preparation = Preparation(size, whole if crop is None else crop, whole if orient is None else orient, clahe, window=window)
    if force:
        cache.remove_cache(out)
    result = prepare(archive, preparation, out, source, None, max_broken, _counting(callback, len(archive.cases)), opened)
    return replace(result, warnings=warnings)


def _cores() -> int:
    return os.cpu_count() or 1


def _leaks(archive: Archive) -> tuple[str, ...]:
    """A warning if patients are in more than one split, as an official one may have them."""
    splits = archive.cases.dropna(subset=["patient"]).groupby("patient")["split"].nunique()
    leaking = int((splits > 1).sum())
    if not leaking:
        return ()
    return (f"{leaking} of {len(splits)} patients are in more than one split: results on test are too good",)


def _counting(callback: Callback, total: int) -> Callable[[int], None]:
    """``callback`` as a function of the files done since its last call."""
    done = 0

    def advance(files: int) -> None:
        nonlocal done
        done += files
        callback(done, total)

    return advance


def prepare(
    archive: Archive,
    preparation: Preparation,
    out: Path,
    source: Path,
    workers: int | None = None,
    max_broken: int = 20,
    callback: Callable[[int], None] = lambda files: None,
    engine: Engine | None = None,
) -> Result:
    """Fill the folder ``out``, created if missing, with the cases of ``archive``; ``callback`` is called with files done.

    ``engine``: by default ``workers`` processes of this machine, one for each core unless given.  Does nothing if ``out``
    contains the same already; continues if it is unfinished.  Raises RunError if ``out`` contains anything else, cannot be
    written, or more than ``max_broken`` files are broken (what was done is kept); DataError if broken files leave nothing.
    """
    cases = _ordered(archive.cases)
    stamps = [_stamp(Path(path)) for path in cases["path"]]
    wanted = _digest(cases, preparation)
    if manifest := _unchanged(out, wanted, stamps):
        callback(len(cases))
        return Result(manifest.images, manifest.broken, manifest.summary, unchanged=True)
    lines = journal.start(out, wanted, len(cases), preparation.size)
    outcomes = {row: line.outcome for row, line in lines.items() if line.stamp == stamps[row]}
    waiting = [row for row in range(len(cases)) if not isinstance(outcomes.get(row), Done)]
    callback(len(cases) - len(waiting))
    with journal.appending(out) as append:
        for row, outcome in outcomes_of(
            cases, waiting, preparation, out / cache.PARTIAL, engine or LocalEngine(workers or _cores())
        ):
            outcomes[row] = outcome
            append(journal.Line(row, stamps[row], outcome))
            callback(1)
    broken = {
        relative_name(cases["path"][row], source): outcome.reason
        for row, outcome in sorted(outcomes.items())
        if isinstance(outcome, Broken)
    }
    _check_broken(broken, len(cases), max_broken)
    with writing(out, journal.KEPT):
        summary = finish(out, cases, outcomes, archive, preparation, source, broken, wanted)
    return Result(len(cases) - len(broken), broken, summary, unchanged=False)


def _unchanged(out: Path, wanted: str, stamps: list[str]) -> Manifest | None:
    """The manifest of a finished cache of these very files.  Raises RunError if it is of something else."""
    with reading(out, RunError):
        finished = (out / MANIFEST).is_file()
    if not finished:
        return None
    manifest = read_manifest(out)
    journal.check_same(out, manifest.digest, wanted)
    lines = journal.read_lines(out, wanted, len(stamps))
    same = all(row in lines and lines[row].stamp == stamp for row, stamp in enumerate(stamps))
    return manifest if same else None


def _ordered(cases: pd.DataFrame) -> pd.DataFrame:
    order = cases["split"].map({name: k for k, name in enumerate(SPLITS)})
    return cases.iloc[order.argsort(kind="stable")].reset_index(drop=True)


def _digest(cases: pd.DataFrame, preparation: Preparation) -> str:
    """Of what the result depends on apart from the files: cases, preparation, versions."""
    parts = [FORMAT, preparation.to_dict(), versions(), cases.to_csv(index=False)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _stamp(path: Path) -> str:
    try:
        stat = path.stat()
    except OSError:
        return "not there"  # reading it gives the reason
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _check_broken(broken: dict[str, str], n: int, max_broken: int) -> None:
    reasons = "\n".join(list(broken.values())[:_SHOWN])
    if len(broken) == n:
        raise DataError(f"all {n} files are broken; expected some to be whole. Check the archive:\n{reasons}")
    if len(broken) > max_broken:
        raise RunError(
            f"{len(broken)} of {n} files are broken; expected at most {max_broken}. Download them again, or raise "
            f"--max-broken; what was done is kept:\n{reasons}"
        )
