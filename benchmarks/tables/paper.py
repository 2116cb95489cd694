"""The published network and estimator on chest X-rays of 64 px, in the time that Bayescope's training took."""

from typing import Any

from benchmarks.tables.markdown import read, table

HEADER = (
    "method",
    "test images",
    "AUC (95 %)",
    "accuracy",
    "steps",
    "training, processor minutes",
    "passes per image",
    "ms per image",
)
SCORED = {
    "flow": "published network, published estimator: flow likelihood, RK45 at 1e-5",
    "bound_few": "published network, denoising bound, the same images",
    "bound": "published network, denoising bound",
}


def _row(name: str, record: dict[str, Any]) -> list[object]:
    found = record[name]
    value, low, high = found["auc_interval"]
    measured = [found["images"], f"{value:.3f} ({low:.3f}–{high:.3f})", f"{found['accuracy']:.3f}"]
    trained = [record["steps"], f"{record['training']['processor'] / 60:.1f}"]
    return [SCORED[name], *measured, *trained, f"{found['passes']:.0f}", f"{found['ms']:.0f}" if name != "bound_few" else ""]


def section() -> list[str]:
    """The networks that were measured."""
    records = read("paper", "chest-64-*")
    if not records:
        return []
    rows = [_row(name, record) for record in records for name in SCORED]
    for record in read("sizes", "chest-64-bayescope-0"):
        minutes = f"{record['training']['processor'] / 60:.1f}"
        test = [f"{record['test']['auc']:.3f}", f"{record['test']['accuracy']:.3f}"]
        rows.append(
            [
                "Bayescope, fitted weights",
                records[0]["bound"]["images"],
                *test,
                record["steps"],
                minutes,
                record["passes"],
                f"{record['test_ms']:.0f}",
            ]
        )
    return [
        "### The published method in the same time",
        "",
        "    python -m benchmarks paper --data FOLDER",
        "",
        "Sarker et al. (arXiv 2502.17727): their network, loss and optimiser, for as many steps as the time of Bayescope's",
        "training buys; one thread, test images read once. Backward passes count as two. Decisions are for the likelier class.",
        "",
        *table(HEADER, rows),
    ]
