"""Memory of training, by size of the cache."""

from benchmarks.tables.markdown import read, table

HEADER = ("cache, GiB", "images", "before, MiB", "until the first step, MiB", "in the steps, MiB")


def section() -> list[str]:
    """Every size measured."""
    records = sorted(read("memory"), key=lambda record: record["gib"])
    rows = [
        [
            f"{r['gib']:g}",
            f"{r['images']:,}",
            *(f"{r[f'{stage}_mib']:.0f}" for stage in ("before", "until_the_first_step", "steps")),
        ]
        for r in records
    ]
    lines = ["## Memory of training", "", "    python -m benchmarks memory", ""]
    lines += [
        "Peak of anonymous memory: all but mapped files, which the system takes back when it needs to. Images of "
        "224 × 224 pixels, a small network, batches of 16, on a CPU. Until the first step: hashes of all images and the "
        "statistics of up to 2,674 of them, whatever the number.",
        "",
    ]
    return [*lines, *table(HEADER, rows)]
