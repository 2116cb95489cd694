"""From the files of an archive to a cache: several processes, one image each at a time, resumed where it was killed.

Memory is that of one file for each process, whatever the size of the archive.  What was done,
:mod:`bayescope.data.preparation.journal` tells; of a finished cache, only files that have changed are done again, and those
that were broken.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayescope.data.archives.base import Archive, Summary
from bayescope.data.filesystem.names import printable
from bayescope.data.formats.frame import FOR_PROCESSING
from bayescope.data.labelled import SPLITS
from bayescope.data.preparation import cache, journal
from bayescope.data.preparation.mammogram import Preparation
from bayescope.data.preparation.manifest import FORMAT, MANIFEST, Manifest, publish, read_manifest, write_pending
from bayescope.data.preparation.workers import Broken, Done, Outcome, outcomes_of
from bayescope.data.tables.class_names import sort_class_names
from bayescope.errors import DataError, RunError, reading, writing

_HASHED_AT_ONCE = 2**24
_SHOWN = 5
_LIBRARIES = ("bayescope", "pydicom", "numpy", "pillow", "scikit-image")


@dataclass(frozen=True)
class Result:
    """``used`` images in the cache; ``broken``: why by path; ``summary`` with what the files told; ``unchanged``: all was
    there already."""

    used: int
    broken: dict[str, str]
    summary: Summary
    unchanged: bool


def prepare(
    archive: Archive,
    preparation: Preparation,
    out: Path,
    source: Path,
    workers: int | None = None,
    max_broken: int = 20,
    callback: Callable[[int], None] = lambda files: None,
) -> Result:
    """Fill the folder ``out``, made if need be, with the cases of ``archive``; ``callback`` hears of files done.

    Does nothing if ``out`` holds the same already; goes on where it was left.  Raises RunError if ``out`` holds something else,
    cannot be written, or more than ``max_broken`` files are broken (what was done is kept); DataError if broken files leave
    nothing.
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
        for row, outcome in outcomes_of(cases, waiting, preparation, out / cache.PARTIAL, workers or os.cpu_count() or 1):
            outcomes[row] = outcome
            append(journal.Line(row, stamps[row], outcome))
            callback(1)
    broken = {
        _relative(cases["path"][row], source): outcome.reason
        for row, outcome in sorted(outcomes.items())
        if isinstance(outcome, Broken)
    }
    _check_broken(broken, len(cases), max_broken)
    with writing(out, journal.KEPT):
        summary = _finish(out, cases, outcomes, archive, preparation, source, broken, wanted)
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
    """Of what the result depends on beside the files themselves: cases, preparation, versions."""
    return _hash_of([FORMAT, preparation.to_dict(), _versions(), cases.to_csv(index=False)])


def _stamp(path: Path) -> str:
    try:
        stat = path.stat()
    except OSError:
        return "not there"  # reading it tells why
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _hash_of(values: list[Any]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _check_broken(broken: dict[str, str], n: int, max_broken: int) -> None:
    reasons = "\n".join(list(broken.values())[:_SHOWN])
    if len(broken) == n:
        raise DataError(f"all {n} files are broken; expected some to be whole. Check the archive:\n{reasons}")
    if len(broken) > max_broken:
        raise RunError(
            f"{len(broken)} of {n} files are broken; expected at most {max_broken}. Download them again, or raise "
            f"--max-broken; what was done is kept:\n{reasons}"
        )


def _finish(
    out: Path,
    cases: pd.DataFrame,
    outcomes: Mapping[int, Outcome],
    archive: Archive,
    preparation: Preparation,
    source: Path,
    broken: dict[str, str],
    wanted: str,
) -> Summary:
    """Write all but the pixels' place and the manifest, then these two: a kill in between loses nothing."""
    done = {row: outcome for row, outcome in sorted(outcomes.items()) if isinstance(outcome, Done)}
    pixels = out / cache.PARTIAL
    if broken:
        pixels = out / cache.IMAGES
        cache.copy_rows(out / cache.PARTIAL, list(done), pixels, range(len(done)), len(done))
    table = _table_of(cases.iloc[list(done)].reset_index(drop=True), list(done.values()), source)
    table.to_parquet(out / cache.CASES, index=False)
    for_processing = sum(outcome.shown.presentation == FOR_PROCESSING for outcome in done.values())
    summary = _with_note(_without_broken(archive.summary, table, len(broken)), for_processing, len(done))
    transparent = sum("transparent pixels" in step for outcome in done.values() for step in outcome.shown.applied)
    if transparent:
        note = f"{transparent} images have transparent pixels, read in the colours they are stored with"
        summary = replace(summary, notes=(*summary.notes, note))
    summary = replace(summary, notes=(*summary.notes, *_notes_on_headers(done.values(), len(done))))
    manifest = Manifest(
        format=FORMAT,
        digest=wanted,
        images=len(done),
        class_names=sort_class_names(table["label"]),
        preparation=preparation,
        summary=summary,
        broken=broken,
        breast_not_found=sum(not outcome.record.breast_found for outcome in done.values()) if preparation.crop else 0,
        for_processing=for_processing,
        versions=_versions(),
        pixels_sha256=_hash_of_file(pixels),
    )
    write_pending(out, manifest)
    if broken:
        (out / cache.PARTIAL).unlink()
    else:
        (out / cache.PARTIAL).replace(out / cache.IMAGES)
    publish(out)
    return summary


def _table_of(cases: pd.DataFrame, done: list[Done], source: Path) -> pd.DataFrame:
    """The case table, boxes in prepared pixels, with how each image was shown and the record of what was done to it."""
    shown = pd.DataFrame([asdict(outcome.shown) for outcome in done])
    spacing = [outcome.shown.spacing or (np.nan, np.nan) for outcome in done]
    return cache.boxes_to_prepared(cases, [outcome.box for outcome in done]).assign(
        path=[_relative(path, source) for path in cases["path"]],
        presentation=shown["presentation"],
        applied=shown["applied"].map("; ".join),
        bits_stored=shown["bits_stored"],
        row_spacing=[row for row, _ in spacing],
        column_spacing=[column for _, column in spacing],
        header_side=shown["laterality"],
        header_view=shown["view"],
        record=[json.dumps(outcome.record.to_dict()) for outcome in done],
    )


def _without_broken(summary: Summary, used: pd.DataFrame, n_broken: int) -> Summary:
    if not n_broken:
        return summary
    return replace(summary.of_used(used), left_out={**summary.left_out, "file is broken": n_broken})


def _with_note(summary: Summary, for_processing: int, n: int) -> Summary:
    if not for_processing:
        return summary
    note = (
        f"{for_processing} of {n} images are {FOR_PROCESSING}, raw from the detector and unlike what is shown to a reader: "
        "a model can take that for a sign; column presentation tells which"
    )
    return replace(summary, notes=(*summary.notes, note))


def _notes_on_headers(done: Iterable[Done], n: int) -> list[str]:
    """What headers say that could not be taken as they say it, with the number of images."""
    counts = Counter(note for outcome in done for note in outcome.shown.notes)
    return [f"{count} of {n} images: {note}" for note, count in counts.items()]


def _hash_of_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_HASHED_AT_ONCE):
            digest.update(part)
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    return {name: version(name) for name in _LIBRARIES}


def _relative(path: str, source: Path) -> str:
    root = source.resolve()
    return printable(Path(path).relative_to(root) if Path(path).is_relative_to(root) else Path(path).name)
