"""What the sections share: where measured files are, titles of the data sets, and tables."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent.parent / "results"
DATA_SETS = {"pneumoniamnist": "PneumoniaMNIST (reassembled), 28 px", "breastmnist": "BreastMNIST, 28 px"}


def read(pattern: str) -> list[dict[str, Any]]:
    """Measured files that fit a pattern under benchmarks/results, by name."""
    return [json.loads(file.read_text()) for file in sorted(RESULTS.glob(pattern))]


def spread(values: list[float], digits: int = 3) -> str:
    """Mean and standard deviation, or the value alone."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"


def table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> list[str]:
    """A Markdown table and an empty line; a line that says so where there are no rows."""
    titles = list(header)
    lines = [titles, ["---"] * len(titles), *([str(cell) for cell in row] for row in rows)]
    if len(lines) == 2:
        return ["Not measured yet.", ""]
    return [*("| " + " | ".join(cells) + " |" for cells in lines), ""]
