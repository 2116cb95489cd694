"""The last step of preparing: the case table, the summary and the manifest of a finished cache."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from bayescope.data.archives.base import Archive, Summary
from bayescope.data.filesystem.names import printable
from bayescope.data.formats.frame import FOR_PROCESSING
from bayescope.data.preparation import cache
from bayescope.data.preparation.mammogram import Preparation
from bayescope.data.preparation.manifest import FORMAT, Manifest, publish, write_pending
from bayescope.data.preparation.workers import Done, Outcome
from bayescope.data.tables.class_names import sort_class_names

_HASHED_AT_ONCE = 2**24
_LIBRARIES = ("bayescope", "pydicom", "numpy", "pillow", "scikit-image")


def finish(
    out: Path,
    cases: pd.DataFrame,
    outcomes: Mapping[int, Outcome],
    archive: Archive,
    preparation: Preparation,
    source: Path,
    broken: dict[str, str],
    wanted: str,
) -> Summary:
    """Write the finished cache in ``out`` and return the archive's summary with findings from the files.

    The pixels are put into place and the manifest is published last, so that a process killed in between loses nothing.
    """
    done = {row: outcome for row, outcome in sorted(outcomes.items()) if isinstance(outcome, Done)}
    pixels = out / cache.PARTIAL
    if broken:
        pixels = out / cache.IMAGES
        cache.copy_rows(out / cache.PARTIAL, list(done), pixels, range(len(done)), len(done))
    table = _table_of(cases.iloc[list(done)].reset_index(drop=True), list(done.values()), source)
    table.to_parquet(out / cache.CASES, index=False)
    summary = _without_broken(archive.summary, table, len(broken))
    summary = replace(summary, notes=(*summary.notes, *_notes_on(list(done.values()))))
    manifest = Manifest(
        format=FORMAT,
        digest=wanted,
        images=len(done),
        class_names=sort_class_names(table["label"]),
        preparation=preparation,
        summary=summary,
        broken=broken,
        breast_not_found=sum(not outcome.record.breast_found for outcome in done.values()) if preparation.crop else 0,
        for_processing=_for_processing(done.values()),
        versions=versions(),
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
        path=[relative_name(path, source) for path in cases["path"]],
        presentation=shown["presentation"],
        applied=shown["applied"].map("; ".join),
        bits_stored=shown["bits_stored"],
        row_spacing=[row for row, _ in spacing],
        column_spacing=[column for _, column in spacing],
        header_side=shown["laterality"],
        header_view=shown["view"],
        header_study=_numbered(shown["study"]),
        record=[json.dumps(outcome.record.to_dict()) for outcome in done],
    )


def _numbered(studies: pd.Series) -> pd.Series:
    """Studies in the order in which they first appear, as words that do not tell which; missing where they are."""
    numbers = pd.Series(pd.factorize(studies)[0] + 1, index=studies.index)
    return ("study " + numbers.astype(str)).where(numbers > 0, None)


def _without_broken(summary: Summary, used: pd.DataFrame, n_broken: int) -> Summary:
    """The summary with broken files counted as left out."""
    if not n_broken:
        return summary
    return replace(summary.of_used(used), left_out={**summary.left_out, "file is broken": n_broken})


def _notes_on(done: list[Done]) -> list[str]:
    """Findings from the files that matter for interpreting results, each with the number of images."""
    n, for_processing = len(done), _for_processing(done)
    transparent = sum("transparent pixels" in step for outcome in done for step in outcome.shown.applied)
    notes = []
    if for_processing:
        notes.append(
            f"{for_processing} of {n} images are {FOR_PROCESSING}, raw from the detector and unlike what is shown to a reader: "
            "a model can take that for a sign; see the column presentation"
        )
    if transparent:
        notes.append(f"{transparent} images have transparent pixels, read in the colours they are stored with")
    headers = Counter(note for outcome in done for note in outcome.shown.notes)
    return notes + [f"{count} of {n} images: {note}" for note, count in headers.items()]


def _for_processing(done: Iterable[Done]) -> int:
    return sum(outcome.shown.presentation == FOR_PROCESSING for outcome in done)


def _hash_of_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_HASHED_AT_ONCE):
            digest.update(part)
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Versions of the libraries that decide the prepared pixels, by name."""
    return {name: version(name) for name in _LIBRARIES}


def relative_name(path: str, source: Path) -> str:
    """``path`` as seen from ``source``, or its name alone if it is elsewhere; printable."""
    root = source.resolve()
    return printable(Path(path).relative_to(root) if Path(path).is_relative_to(root) else Path(path).name)
