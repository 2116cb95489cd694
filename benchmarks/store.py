"""Measured rows, kept as one JSON Lines file for each benchmark: ``benchmarks/results/<benchmark>.jsonl``.

A line is ``{"row": name, "record": what was measured}``; lines stand in order of their names.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from bayescope.runs.files import write_atomically

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Store:
    """The rows of one benchmark in ``folder``, by default benchmarks/results."""

    benchmark: str
    folder: Path | None = None

    @property
    def path(self) -> Path:
        """Folder of the rows."""
        return (self.folder or RESULTS) / f"{self.benchmark}.jsonl"

    def rows(self, pattern: str = "*") -> dict[str, Any]:
        """Records by name, of names that fit ``pattern``, in order."""
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else []
        found = {line["row"]: line["record"] for line in map(json.loads, lines)}
        return {name: record for name, record in found.items() if fnmatchcase(name, pattern)}

    def put(self, name: str, record: Any) -> None:
        """Add a row, or replace it; the file is written atomically."""
        rows = {**self.rows(), name: record}
        lines = [json.dumps({"row": key, "record": rows[key]}) for key in sorted(rows)]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, "".join(line + "\n" for line in lines).encode())

    def keep(self, name: str, measure: Callable[[], object]) -> None:
        """Add what ``measure`` gives, unless the row is there: remove its line to measure it again."""
        began = time.perf_counter()
        if name not in self.rows():
            self.put(name, measure())
        print(f"{self.benchmark} {name} {time.perf_counter() - began:.0f} s", flush=True)
