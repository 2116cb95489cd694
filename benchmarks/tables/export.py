"""Exported graphs beside torch: speed, size, and whether the likelihood ratios stay the same."""

from typing import Any

from benchmarks.store import Store
from benchmarks.tables.markdown import table

HEADER = (
    "runtime",
    "file, MiB",
    "passes/s at batch 1",
    "8",
    "64",
    "images/s, stopping early",
    "largest change of a ratio in full, nats",
    "stopping early",
    "images with other passes",
)


def section() -> list[str]:
    """Every run measured."""
    lines = ["## Exported graphs", "", "    python -m benchmarks export --run RUN --data DATA", ""]
    for name, record in Store("export").rows().items():
        lines += [_about(name, record), "", *table(HEADER, map(_cells, record["rows"]))]
    return lines


def _about(name: str, record: dict[str, Any]) -> str:
    channels, height, width = record["shape"]
    images = f"{height}×{width} px{', colour' if channels > 1 else ''}"
    return (
        f"{name}, {images}, {record['classes']} classes, {record['threads']} threads; ratios of {record['images']} test images:"
    )


def _cells(row: dict[str, Any]) -> list[object]:
    passes = [f"{rate:.0f}" for rate in row["passes_per_second"].values()]
    size = f"{row['mib']:.1f}" if row["mib"] else "–"
    changes = [f"{row[how]['nats']:.2g}" for how in ("in_full", "early")]
    return [row["runtime"], size, *passes, f"{row['images_per_second']:.1f}", *changes, row["early"]["other_passes"]]
