"""Estimators of the evidence side by side."""

from benchmarks.tables.markdown import DATA_SETS, read, spread, table

TITLES = {
    "flow-released": "the paper's released estimator: RK45 1e-5, a fresh Gaussian probe for each image and class",
    "flow-shared-probes": "flow, four Rademacher probes shared by the classes, tolerance 1e-4",
    "uniform-250": "uniform levels, plain squared ε-error averaged (Li et al. 2023)",
    "uniform-1000": "the same, more passes",
    "majority-501": "majority vote over 501 random levels (Favero et al. 2025)",
    "full-bound": "full bound: every level and noise, weighted as the integral has them",
    "full-fitted": "the same draws with fitted weights, calibrated",
    "sequential": "sequential, default: stops when the winner of the row before is settled",
}
STOPPING = (
    "data set",
    "AUC, less the full bound",
    "accuracy, less the full bound",
    "AUC, less fitted weights in full",
    "accuracy, less fitted weights in full",
    "passes",
    "disagreement with fitted in full",
    "seeds",
)
HEADER = ("estimator", "images", "AUC", "accuracy", "passes per image", "ms per image", "passes over ours", "time over ours")


def _of(name: str) -> list[str]:
    return [f"### {DATA_SETS[name]}", "", *table(HEADER, [*_rows(name, ""), *_rows(name, "-all")])]


def _rows(name: str, scope: str) -> list[list[object]]:
    found = {key: record for key in TITLES for record in read("evidence", f"{name}-{key}{scope}")}
    if "sequential" not in found:
        return []
    ours = found["sequential"]
    return [
        [
            TITLES[key],
            r["images"],
            f"{r['auc']:.3f}",
            f"{r['accuracy']:.3f}",
            f"{r['passes']:.1f}",
            f"{r['ms_per_image']:.1f}",
            f"{r['passes'] / ours['passes']:.1f}",
            f"{r['ms_per_image'] / ours['ms_per_image']:.1f}",
        ]
        for key, r in found.items()
    ]


def _stopping(name: str) -> list[object]:
    """Means over seeds: what is lost against either full evaluation, passes, disagreement."""
    records = read("evidence", f"{name}-stopping-*")
    if not records:
        return [DATA_SETS[name], "not measured yet"]
    lost = [
        spread([r["sequential"][key] - r[reference][key] for r in records])
        for reference in ("full-bound", "full-fitted")
        for key in ("auc", "accuracy")
    ]
    return [DATA_SETS[name], *lost, *(spread([r[key] for r in records]) for key in ("passes", "disagreement")), len(records)]


def section() -> list[str]:
    """Both data sets."""
    return [
        "## Evidence: what a decision costs",
        "",
        "    python -m benchmarks evidence --data FOLDER",
        "",
        "Same network (seed 0), same test images, one run; a backward pass counts as two.  The quick estimators also on all",
        "test images.  Aim: sequential within 0.005 AUC and 0.01 accuracy of the full bound at 8 passes or fewer, and",
        "100 times fewer passes than the released estimator.",
        "",
        *_of("pneumoniamnist"),
        *_of("breastmnist"),
        "Stopping early against scoring in full, all test images, mean and standard deviation over the networks of all seeds",
        "(differences: below zero, stopping loses):",
        "",
        *table(STOPPING, [_stopping(name) for name in DATA_SETS]),
    ]
