"""The long phantom benchmark compared with the ideal observer."""

from typing import Any

from benchmarks.tables.markdown import read, table

HEADER = ("observer", "AUC", "mean AUC", "accuracy", "training, s", "passes per image")


def _row(title: str, entry: dict[str, Any], *cost: object) -> list[object]:
    aucs = " / ".join(f"{value:.3f}" for value in entry["auc"])
    return [title, aucs, f"{entry['mean_auc']:.3f}", f"{entry['accuracy']:.3f}", *cost]


def section() -> list[str]:
    """Every measured seed."""
    rows = []
    for record in read("phantom", "seed-*"):
        title = f"Bayescope, seed {record['seed']}, {record['steps']} steps"
        rows.append(_row(title, record["bayescope"], record["train_seconds"], record["passes"]))
        rows.append(_row("ideal observer, same images", record["ideal"], "", ""))
    return [
        "## Phantom: masses and microcalcifications in 1/f³ texture",
        "",
        "    python -m benchmarks phantom",
        "",
        "AUC of normal / mass / microcalcifications against the rest, their mean, and accuracy, on test images read once.",
        "Aim: mean AUC of 0.90 or more in at most an hour on two cores.",
        "",
        *table(HEADER, rows),
    ]
