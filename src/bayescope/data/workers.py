"""One file prepared, and many of them by several processes: each holds one file at a time and writes its own rows.

A process imports this module and what it imports: no tables, no torch, some 120 MB less.
"""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bayescope.data.grey import read_grey
from bayescope.data.intensity import Preparation
from bayescope.errors import DataError, RunError

if TYPE_CHECKING:
    import pandas as pd

_WAITING_PER_WORKER = 4

Outcome = dict[str, Any]
"""Of one file: ``i``, its row, and ``record`` with ``box``, or ``error``."""


def prepare_file(path: Path, preparation: Preparation, box: list[float] | None = None) -> tuple[np.ndarray, Outcome]:
    """One file prepared ``(size, size)``, what was done, and ``box`` (top, left, bottom, right) in prepared pixels."""
    prepared = preparation.apply(read_grey(path), path.name)
    moved = None if box is None else prepared.record.box_to_prepared(box).tolist()
    return prepared.pixels, {"record": prepared.record.to_dict(), "box": moved}


def outcomes_of(
    cases: "pd.DataFrame", waiting: list[int], preparation: Preparation, pixels: Path, workers: int
) -> Iterator[Outcome]:
    """Prepare the rows ``waiting`` into the mapped file ``pixels``; outcomes as they come, few files being handed out ahead.

    Raises RunError if a process was killed.
    """
    boxes = cases[["y_min", "x_min", "y_max", "x_max"]].astype(float)
    tasks = iter((i, cases["path"][i], None if boxes.iloc[i].isna().any() else boxes.iloc[i].tolist()) for i in waiting)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, max(1, len(waiting))), mp_context=context) as pool:
        pending: set[Future[Outcome]] = set()
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


def _prepare_row(i: int, path: str, box: list[float] | None, preparation: Preparation, pixels: Path) -> Outcome:
    try:
        image, outcome = prepare_file(Path(path), preparation, box)
    except (DataError, MemoryError, OSError) as error:
        return {"i": i, "error": str(error) or type(error).__name__}
    rows = np.load(pixels, mmap_mode="r+")
    rows[i] = image
    rows.flush()
    return {"i": i, **outcome}
