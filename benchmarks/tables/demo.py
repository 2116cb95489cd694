"""The demo compared with the ideal observer."""

from typing import Any

from benchmarks.tables.markdown import read, table


def _cell(estimate: dict[str, float]) -> str:
    return f"{estimate['value']:.3f} ({estimate['low']:.3f}–{estimate['high']:.3f})"


def section() -> list[str]:
    """Every measured run."""
    rows: list[list[Any]] = []
    for record in read("demo"):
        cost = (f"{record['seconds']}", f"{record['passes']:.0f}")
        title = f"Bayescope, seed {record['seed']}, {record['steps']} steps"
        for name, observer, tail in ((title, "bayescope", cost), ("ideal observer, same images", "ideal", ("", ""))):
            rows.append([name, _cell(record[observer]["AUC"]), _cell(record[observer]["accuracy"]), *tail])
    return [
        "## Demo",
        "",
        "    make demo && python -m benchmarks record demo seed-0 demo-run/measures.json",
        "",
        "Mean one-vs-rest AUC and accuracy on 1,000 phantom test images, with 95 % intervals; all but the report in seconds.",
        "Aim: mean AUC of 0.84 or more within five minutes on two cores.",
        "",
        *table(("observer", "mean AUC", "accuracy", "seconds", "passes per image"), rows),
    ]
