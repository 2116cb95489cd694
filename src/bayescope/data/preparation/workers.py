"""Preparation of single files, and of many in several processes: each has one file in memory at a time and writes its own rows.

A process imports this module and what it imports: no tables, no torch, some 120 MB less.
"""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bayescope.data.filesystem.names import printable
from bayescope.data.formats.frame import Shown
from bayescope.data.formats.grayscale import read_grayscale
from bayescope.data.preparation.mammogram import Preparation, Record
from bayescope.errors import DataError, RunError
from bayescope.types import Pixels

if TYPE_CHECKING:
    import pandas as pd

_WAITING_PER_WORKER = 4


@dataclass(frozen=True)
class Done:
    """A file prepared: how it was shown, what was done then, and its box (top, left, bottom, right) in prepared pixels."""

    shown: Shown
    record: Record
    box: tuple[float, ...] | None


@dataclass(frozen=True)
class Broken:
    """A file that could not be prepared, and why."""

    reason: str


Outcome = Done | Broken


def prepare_file(
    path: Path,
    preparation: Preparation,
    box: Sequence[float] | None = None,
    frame: int | None = None,
    region: Sequence[float] | None = None,
) -> tuple[np.ndarray, Done]:
    """One file prepared ``(size, size)``, and what was done.

    ``box`` and ``region``, the part to prepare, are (top, left, bottom, right) in the file's own pixels, ``box`` in those of
    the region if there is one; ``frame`` counts from 0, where the file has several.  Raises DataError for a region outside.
    """
    read = read_grayscale(path, preparation.window, frame)
    pixels = read.pixels if region is None else _cut_out(read.pixels, region, path.name)
    prepared = preparation.apply(pixels, path.name, read.pixel_aspect)
    moved = None if box is None else tuple(prepared.record.box_to_prepared(box).tolist())
    return prepared.pixels, Done(read.shown, prepared.record, moved)


def _cut_out(pixels: Pixels, region: Sequence[float], name: str) -> Pixels:
    top, left, bottom, right = (round(end) for end in region)
    height, width = pixels.shape
    if not (0 <= top < bottom <= height and 0 <= left < right <= width):
        raise DataError(
            f"{name}: {height}x{width} pixels; expected rows {top} to {bottom}, columns {left} to {right} inside. Put "
            "the archive's own file there"
        )
    return pixels[top:bottom, left:right]


def outcomes_of(
    cases: "pd.DataFrame", waiting: list[int], preparation: Preparation, pixels: Path, workers: int
) -> Iterator[tuple[int, Outcome]]:
    """Prepare the rows ``waiting`` into the mapped file ``pixels``; row and outcome as they come, few files handed out ahead.

    Raises RunError if a process was killed.
    """
    boxes = cases[["y_min", "x_min", "y_max", "x_max"]].astype(float)
    frames = cases["frame"].tolist()
    regions = (cases["kind"] == "roi").tolist()

    def describe(i: int) -> tuple[int, str, list[float] | None, int | None, list[float] | None]:
        box = None if boxes.iloc[i].isna().any() else boxes.iloc[i].tolist()
        frame = None if frames[i] != frames[i] or frames[i] is None else int(frames[i])
        return (i, cases["path"][i], None, frame, box) if regions[i] else (i, cases["path"][i], box, frame, None)

    tasks = map(describe, waiting)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, max(1, len(waiting))), mp_context=context) as pool:
        pending: set[Future[tuple[int, Outcome]]] = set()
        try:
            while True:
                for _, task in zip(range(_WAITING_PER_WORKER * workers - len(pending)), tasks, strict=False):
                    pending.add(pool.submit(_prepare_row, *task, preparation, pixels))
                if not pending:
                    return
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in finished)
        except BrokenProcessPool:
            raise RunError(
                "a preparing process was killed, perhaps for lack of memory; what was done is kept. Run again to continue, "
                "with fewer --workers"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _prepare_row(
    i: int,
    path: str,
    box: list[float] | None,
    frame: int | None,
    region: list[float] | None,
    preparation: Preparation,
    pixels: Path,
) -> tuple[int, Outcome]:
    try:
        image, done = prepare_file(Path(path), preparation, box, frame, region)
    except DataError as error:
        return i, Broken(printable(str(error)))
    except Exception as error:  # one file must not stop the others, whatever its reader meets
        reason = printable(" ".join(f"{type(error).__name__}: {error}".replace(path, Path(path).name).split()))
        return i, Broken(
            f"{printable(Path(path).name)}: cannot be prepared ({reason:.200}); expected a whole grayscale image. Leave it out"
        )
    rows = np.load(pixels, mmap_mode="r+")
    rows[i] = image
    rows.flush()
    return i, done
