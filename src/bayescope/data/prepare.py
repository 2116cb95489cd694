"""From the files of an archive to a cache: several processes, one image each at a time, resumed where it was killed.

Memory is that of one file for each process, whatever the size of the archive.  Work done is what ``progress.jsonl`` tells,
one line for each file after its pixels are written; a line cut short is done again.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayescope.data import cache
from bayescope.data.archive import Archive
from bayescope.data.cases import SPLITS
from bayescope.data.intensity import Preparation
from bayescope.data.workers import Outcome, outcomes_of
from bayescope.errors import DataError, RunError

_HASHED_AT_ONCE = 2**24
_SHOWN = 5
_LIBRARIES = ("bayescope", "pydicom", "numpy", "pillow", "scikit-image")


@dataclass(frozen=True)
class Result:
    """``used`` images in the cache; ``broken``: why by path; ``unchanged``: all was there already."""

    used: int
    broken: dict[str, str]
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
    if (out / cache.MANIFEST).is_file():
        manifest = cache.read_manifest(out)
        _check_same(out, [manifest["digest"], manifest["files"]], [wanted, _hash_of(stamps)])
        callback(len(cases))
        return Result(manifest["images"], manifest["broken"], unchanged=True)
    done = _start(out, wanted, len(cases), preparation.size)
    outcomes = {o["i"]: o for o in done if "error" not in o and o["stamp"] == stamps[o["i"]]}
    callback(len(outcomes))
    waiting = [i for i in range(len(cases)) if i not in outcomes]
    with _writing(out), (out / cache.PROGRESS).open("a", encoding="utf-8") as progress:
        for outcome in outcomes_of(cases, waiting, preparation, out / cache.PARTIAL, workers or os.cpu_count() or 1):
            outcomes[outcome["i"]] = outcome
            progress.write(json.dumps(outcome | {"stamp": stamps[outcome["i"]]}) + "\n")
            progress.flush()
            callback(1)
    found = [outcomes[i] for i in range(len(cases))]
    broken = {_relative(cases["path"][i], source): outcome["error"] for i, outcome in enumerate(found) if "error" in outcome}
    _check_broken(broken, len(cases), max_broken)
    with _writing(out):
        _finish(out, cases, found, archive, preparation, source, broken, {"digest": wanted, "files": _hash_of(stamps)})
    return Result(len(cases) - len(broken), broken, unchanged=False)


def _ordered(cases: pd.DataFrame) -> pd.DataFrame:
    order = cases["split"].map({name: k for k, name in enumerate(SPLITS)})
    return cases.iloc[order.argsort(kind="stable")].reset_index(drop=True)


def _digest(cases: pd.DataFrame, preparation: Preparation) -> str:
    """Of what the result depends on beside the files themselves: cases, preparation, versions."""
    return _hash_of([cache.FORMAT, preparation.to_dict(), _versions(), cases.to_csv(index=False)])


def _stamp(path: Path) -> str:
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _hash_of(values: list[Any]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _start(out: Path, wanted: str, n: int, size: int) -> list[Outcome]:
    """Outcomes so far, with the files ready to go on.  Raises RunError if ``out`` holds something else."""
    lines = _complete_lines(out / cache.PROGRESS)
    if lines and (out / cache.PARTIAL).is_file():
        _check_same(out, lines[0].get("digest"), wanted)
        return lines[1:]
    if not lines and out.is_dir() and any(out.iterdir()):
        raise RunError(f"{out}: exists and is not empty; expected a new folder. Give another --out")
    with _writing(out):
        out.mkdir(parents=True, exist_ok=True)
        cache.create_pixels(out / cache.PARTIAL, n, size)
        (out / cache.PROGRESS).write_text(json.dumps({"digest": wanted}) + "\n", encoding="utf-8")
    return []


def _complete_lines(path: Path) -> list[Outcome]:
    """The lines of ``progress.jsonl``; one cut short by a kill is taken away."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    return [json.loads(line) for line in whole.splitlines()]


def _check_same(out: Path, found: object, wanted: object) -> None:
    if found != wanted:
        raise RunError(
            f"{out}: holds images prepared from other files, in another way or by other versions; expected the same. "
            "Give another --out, or --force to prepare anew"
        )


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
    found: list[Outcome],
    archive: Archive,
    preparation: Preparation,
    source: Path,
    broken: dict[str, str],
    hashes: dict[str, str],
) -> None:
    kept = [i for i, outcome in enumerate(found) if "error" not in outcome]
    if broken:
        _take_rows(out / cache.PARTIAL, kept, out / cache.IMAGES)
    else:
        (out / cache.PARTIAL).replace(out / cache.IMAGES)
    table = cache.boxes_to_prepared(cases.iloc[kept].reset_index(drop=True), [found[i]["box"] for i in kept])
    table = table.assign(
        path=[_relative(path, source) for path in table["path"]], record=[json.dumps(found[i]["record"]) for i in kept]
    )
    table.to_parquet(out / cache.CASES, index=False)
    manifest = {
        "format": cache.FORMAT,
        **hashes,
        "images": len(kept),
        "class_names": sorted(table["label"].unique()),
        "preparation": preparation.to_dict(),
        "summary": archive.summary.to_dict(),
        "broken": broken,
        "breast_not_found": sum(not found[i]["record"]["breast_found"] for i in kept) if preparation.crop else 0,
        "versions": _versions(),
        "pixels_sha256": _hash_of_file(out / cache.IMAGES),
    }
    temporary = out / f".{cache.MANIFEST}"
    temporary.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    temporary.replace(out / cache.MANIFEST)
    (out / cache.PROGRESS).unlink()
    (out / cache.PARTIAL).unlink(missing_ok=True)


def _take_rows(path: Path, kept: list[int], to: Path) -> None:
    rows = np.load(path, mmap_mode="r")
    cache.create_pixels(to, len(kept), rows.shape[1])
    target = np.load(to, mmap_mode="r+")
    for row, i in enumerate(kept):
        target[row] = rows[i]
    target.flush()


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
    return str(Path(path).relative_to(root)) if Path(path).is_relative_to(root) else Path(path).name


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{out}: cannot be written ({error.strerror or error}); expected a writable folder with free space. "
            "What was done is kept"
        ) from None
