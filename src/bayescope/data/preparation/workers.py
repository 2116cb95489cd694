"""Preparation of single files, and of many by an engine: each worker has one file in memory at a time and writes its own rows.

A process imports this module and what it imports: no tables, no torch, some 120 MB less.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bayescope.data.filesystem.names import printable
from bayescope.data.formats.frame import Shown
from bayescope.data.formats.grayscale import read_grayscale
from bayescope.data.preparation.mammogram import Preparation, Record
from bayescope.engines.engine import Engine
from bayescope.errors import DataError
from bayescope.types import Pixels

if TYPE_CHECKING:
    import pandas as pd


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
    cases: "pd.DataFrame", waiting: list[int], preparation: Preparation, pixels: Path, engine: Engine
) -> Iterator[tuple[int, Outcome]]:
    """Prepare the rows ``waiting`` into the array file ``pixels``; row and outcome as they come.

    Raises RunError if a worker was killed and not replaced.
    """
    boxes = cases[["y_min", "x_min", "y_max", "x_max"]].astype(float)
    frames = cases["frame"].tolist()
    regions = (cases["kind"] == "roi").tolist()

    def describe(i: int) -> RowTask:
        box = None if boxes.iloc[i].isna().any() else boxes.iloc[i].tolist()
        frame = None if frames[i] != frames[i] or frames[i] is None else int(frames[i])
        return (i, cases["path"][i], None, frame, box) if regions[i] else (i, cases["path"][i], box, frame, None)

    return engine.run(partial(RowWriter, preparation, pixels), [describe(i) for i in waiting])


RowTask = tuple[int, str, list[float] | None, int | None, list[float] | None]
"""Row, path, box, frame and region of a file, see :func:`prepare_file`."""


@dataclass(frozen=True)
class RowWriter:
    """Prepares files and writes each into its row of the array file ``pixels``.

    Rows are written one by one, not through a mapped file, of which two machines would write the page that two rows share.
    """

    preparation: Preparation
    pixels: Path

    def __call__(self, task: RowTask) -> tuple[int, Outcome]:
        """Row and outcome of a file."""
        i, path, box, frame, region = task
        try:
            image, done = prepare_file(Path(path), self.preparation, box, frame, region)
        except DataError as error:
            return i, Broken(printable(str(error)))
        except Exception as error:  # one file must not stop the others, whatever its reader meets
            reason = printable(" ".join(f"{type(error).__name__}: {error}".replace(path, Path(path).name).split()))
            return i, Broken(
                f"{printable(Path(path).name)}: cannot be prepared ({reason:.200}); expected a whole grayscale image. Leave it "
                "out"
            )
        write_row(self.pixels, i, image)
        return i, done


def write_row(pixels: Path, i: int, image: np.ndarray) -> None:
    """Write one row of an ``.npy`` file in place."""
    rows = np.load(pixels, mmap_mode="r")
    with pixels.open("r+b") as file:
        file.seek(rows.offset + i * image.nbytes)
        file.write(np.ascontiguousarray(image, dtype=rows.dtype).tobytes())
        file.flush()
        os.fsync(file.fileno())  # on disk before the journal says so
