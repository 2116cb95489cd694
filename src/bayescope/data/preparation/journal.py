"""Progress of a preparation: ``progress.jsonl``, one line per file, appended after its pixels are written.

The first line states what is prepared, and how.  Of two lines for one row the later counts; a truncated or damaged line is
ignored, so that its file is prepared again.  A preparation interrupted at any time can be resumed.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from bayescope.data.preparation.cache import IMAGES, PARTIAL, PROGRESS, copy_rows, create_pixels, is_cache
from bayescope.data.preparation.manifest import MANIFEST
from bayescope.data.preparation.workers import Broken, Done
from bayescope.errors import RunError, reading, writing

KEPT = "What was done is kept"


@dataclass(frozen=True)
class Line:
    """One file: its ``row`` among the cases, its ``stamp`` when it was read, and what came of it."""

    row: int
    stamp: str
    outcome: Done | Broken


_LINE = TypeAdapter(Line)


def read_lines(out: Path, wanted: str, n: int) -> dict[int, Line]:
    """The lines by row, of ``n``; none where nothing was begun.  Raises RunError unless they are of the digest ``wanted``."""
    path = out / PROGRESS
    complete = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
    if not complete:
        return {}
    check_same(out, _digest(complete[0]), wanted)
    return {line.row: line for line in map(_line, complete[1:]) if line and 0 <= line.row < n}


def start(out: Path, wanted: str, n: int, size: int) -> dict[int, Line]:
    """The lines so far, ``partial.npy`` being ready to be continued.  Raises RunError if ``out`` contains anything else."""
    with reading(out, RunError):
        is_free = not out.is_dir() or not any(out.iterdir())
    if not is_free and not is_cache(out):
        raise RunError(f"{out}: exists and is not empty; expected a new folder. Give another --out")
    lines = read_lines(out, wanted, n)
    if (out / MANIFEST).is_file() and len(lines) < n:
        raise RunError(
            f"{out / PROGRESS}: missing or damaged, {len(lines)} files of {n} listed; expected all, to redo those that have "
            "changed. Use the cache as it is, or give --force to prepare again"
        )
    with writing(out, KEPT):
        if lines and _have_pixels(out, lines, n, size):
            return lines
        out.mkdir(parents=True, exist_ok=True)
        # First, so that the folder is known for a cache left unfinished, however far it comes.
        (out / PROGRESS).write_text(json.dumps({"digest": wanted}) + "\n", encoding="utf-8")
        create_pixels(out / PARTIAL, n, size)
    return {}


@contextmanager
def appending(out: Path) -> Iterator[Callable[[Line], None]]:
    """What writes a line."""
    path = out / PROGRESS
    with writing(out, KEPT):
        os.truncate(path, path.read_bytes().rfind(b"\n") + 1)  # a line cut short would spoil the next
        with path.open("ab") as file:

            def append(line: Line) -> None:
                file.write(_LINE.dump_json(line) + b"\n")
                file.flush()

            yield append


def check_same(out: Path, found: object, wanted: object) -> None:
    """Raise RunError unless the digest ``found`` is that ``wanted``."""
    if found != wanted:
        raise RunError(
            f"{out}: contains images prepared from other files, in another way or by other versions; expected the same. "
            "Give another --out, or --force to prepare again"
        )


def _digest(line: bytes) -> object:
    try:
        return json.loads(line)["digest"]
    except (ValueError, KeyError, TypeError):
        return None


def _line(text: bytes) -> Line | None:
    try:
        return _LINE.validate_json(text)
    except ValidationError:
        return None


def _have_pixels(out: Path, lines: Mapping[int, Line], n: int, size: int) -> bool:
    """Whether ``partial.npy`` contains all rows, restored from ``images.npy`` where necessary."""
    if not (out / MANIFEST).is_file() and _holds(out / PARTIAL, n, size):
        return True
    kept = [row for row in sorted(lines) if isinstance(lines[row].outcome, Done)]
    if len(lines) < n or not _holds(out / IMAGES, len(kept), size):
        return False
    if len(kept) < n:
        copied = out / f".{PARTIAL}"
        copy_rows(out / IMAGES, range(len(kept)), copied, kept, n)
        copied.replace(out / PARTIAL)
        (out / MANIFEST).unlink(missing_ok=True)
        (out / IMAGES).unlink()
    else:
        (out / MANIFEST).unlink(missing_ok=True)
        (out / IMAGES).replace(out / PARTIAL)
    return True


def _holds(path: Path, n: int, size: int) -> bool:
    try:
        pixels = np.load(path, mmap_mode="r")
    except Exception:  # what NumPy raises for a file cut short depends on where
        return False
    return pixels.shape == (n, size, size) and pixels.dtype == np.uint16
