"""Passes against the number of classes."""

from benchmarks.tables.markdown import read, table

HEADER = ("problem", "classes", "passes per image", "passes in full", "disagreement with full", "accuracy", "accuracy in full")


def section() -> list[str]:
    """The Gaussian oracle and the phantom of eight classes."""
    rows = [
        [
            r["problem"],
            r["classes"],
            f"{r['passes']:.1f}",
            r["passes_in_full"],
            f"{r['disagreement']:.4f}",
            f"{r['accuracy']:.3f}",
            f"{r['accuracy_in_full']:.3f}",
        ]
        for records in read("classes")
        for r in records
    ]
    return [
        "## Passes and the number of classes",
        "",
        "    python -m benchmarks classes",
        "",
        "Sequential scoring with exact denoisers at the default disagreement rate, 0.04; Gaussian evidence drops classes "
        "before the",
        "first pass, and the two ahead are drawn three times at least.",
        "",
        *table(HEADER, rows),
    ]
