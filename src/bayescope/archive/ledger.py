"""Results of an archive while they are made: a folder of Parquet parts, one for each block of images.

::

    answers.parquet.parts/
        job.json         digest of the model, the options and the images
        00000012.parquet  the rows of one block, put into place when they are complete

The parts that are there are the ledger: a job that was interrupted makes the others.  At the end they become one file, in
order, and the folder is removed.
"""

import io
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bayescope.errors import RunError, reading, writing
from bayescope.runs.files import read_json, write_atomically

_JOB = "job.json"


@dataclass(frozen=True)
class Counts:
    """Rows with an error, and by split rows of images that the run was trained or validated on."""

    errors: int
    seen: dict[str, int]


@dataclass(frozen=True)
class Ledger:
    """The parts of the file ``out``."""

    out: Path

    @property
    def folder(self) -> Path:
        """Folder of the parts."""
        return self.out.with_name(f"{self.out.name}.parts")

    def part(self, block: int) -> Path:
        """File of a block."""
        return self.folder / f"{block:08d}.parquet"

    def start(self, digest: str, force: bool) -> None:
        """Create the folder, or continue it; ``force``: discard parts of another job.

        Raises RunError if ``out`` exists, unless ``force``, or if parts are of another job.
        """
        with reading(self.out, RunError):
            if self.out.exists() and not force:
                raise RunError(f"{self.out}: exists already; give --force to replace it, or another --out")
            begun = (self.folder / _JOB).is_file()
            is_other = not begun and self.folder.exists() and any(self.folder.iterdir())
        if is_other:
            raise RunError(f"{self.folder}: exists and has no {_JOB}; expected it to be free. Move it, or give another --out")
        if begun and read_json(self.folder / _JOB, "Remove the folder").get("digest") != digest:
            if not force:
                raise RunError(
                    f"{self.folder}: contains parts of other images, options or models; expected the same. Give --force to "
                    "discard them, or another --out"
                )
            self.remove()
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / _JOB, json.dumps({"digest": digest}).encode())

    def waiting(self, blocks: int) -> list[int]:
        """Numbers of the blocks that are not done."""
        done = {path.name for path in self.folder.iterdir()}
        return [block for block in range(blocks) if self.part(block).name not in done]

    def write(self, block: int, columns: dict[str, pa.Array]) -> None:
        """Put the part of a block into place."""
        content = io.BytesIO()
        pq.write_table(pa.table(columns), content)
        write_atomically(self.part(block), content.getvalue())

    def merge(self, blocks: int) -> Counts:
        """Write ``out`` from all parts, in order, a part at a time, and remove them."""
        parts = [self.part(block) for block in range(blocks)]
        schema = pa.unify_schemas([pq.read_schema(part) for part in parts], promote_options="permissive")
        with writing(self.out, f"The parts in {self.folder} are kept"):
            handle, temporary = tempfile.mkstemp(dir=self.out.parent, prefix=f".{self.out.name}.")
            try:
                with os.fdopen(handle, "wb") as file:
                    counts = _write_all(parts, schema, file)
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).chmod(0o644)
                Path(temporary).replace(self.out)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        self.remove()
        return counts

    def remove(self) -> None:
        """Remove the parts."""
        with writing(self.folder):
            shutil.rmtree(self.folder)


def _write_all(parts: Sequence[Path], schema: pa.Schema, file: Any) -> Counts:
    n_errors, seen = 0, Counter[str]()
    with pq.ParquetWriter(file, schema) as writer:
        for part in parts:
            table = pq.read_table(part).cast(schema)
            n_errors += len(table) - table["error"].null_count
            seen.update(split for split in table["seen"].to_pylist() if split)
            writer.write_table(table)
    return Counts(n_errors, dict(seen))
