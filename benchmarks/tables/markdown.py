"""What the sections share: where measured files are, titles of the data sets, and tables."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from benchmarks.store import Store

DATA_SETS = {"pneumoniamnist": "PneumoniaMNIST (reassembled), 28 px", "breastmnist": "BreastMNIST, 28 px"}


def read(benchmark: str, pattern: str = "*") -> list[Any]:
    """Measured rows of a benchmark whose names fit a pattern, in order of their names."""
    return list(Store(benchmark).rows(pattern).values())


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
