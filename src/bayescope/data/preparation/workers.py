"""Preparation of single files, and of many in several processes: each holds one file at a time and writes its own rows.

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
    path: Path, preparation: Preparation, box: Sequence[float] | None = None, frame: int | None = None
) -> tuple[np.ndarray, Done]:
    """One file prepared ``(size, size)``, and what was done.

    ``box`` is (top, left, bottom, right) in the file's own pixels; ``frame`` counts from 0, where the file has several.
    """
    read = read_grayscale(path, preparation.window, frame)
    prepared = preparation.apply(read.pixels, path.name, read.pixel_aspect)
    moved = None if box is None else tuple(prepared.record.box_to_prepared(box).tolist())
    return prepared.pixels, Done(read.shown, prepared.record, moved)


def outcomes_of(
    cases: "pd.DataFrame", waiting: list[int], preparation: Preparation, pixels: Path, workers: int
) -> Iterator[tuple[int, Outcome]]:
    """Prepare the rows ``waiting`` into the mapped file ``pixels``; row and outcome as they come, few files handed out ahead.

    Raises RunError if a process was killed.
    """
    boxes = cases[["y_min", "x_min", "y_max", "x_max"]].astype(float)
    frames = cases["frame"].tolist()
    tasks = iter(
        (
            i,
            cases["path"][i],
            None if boxes.iloc[i].isna().any() else boxes.iloc[i].tolist(),
            None if frames[i] != frames[i] or frames[i] is None else int(frames[i]),
        )
        for i in waiting
    )
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
                "a preparing process was killed, perhaps for want of memory; what was done is kept. Run again to go on, with "
                "fewer --workers"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _prepare_row(
    i: int, path: str, box: list[float] | None, frame: int | None, preparation: Preparation, pixels: Path
) -> tuple[int, Outcome]:
    try:
        image, done = prepare_file(Path(path), preparation, box, frame)
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
