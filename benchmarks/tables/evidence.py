"""Estimators of the evidence side by side."""

from tables.markdown import DATA_SETS, RESULTS, read, table

TITLES = {
    "flow-released": "the paper's released estimator: RK45 1e-5, one fresh Gaussian probe per class",
    "flow-shared-probes": "flow, four Rademacher probes shared by the classes, tolerance 1e-4",
    "uniform-250": "uniform levels, plain squared ε-error averaged (Li et al. 2023)",
    "uniform-1000": "the same, more passes",
    "majority-501": "majority vote over 501 random levels (Favero et al. 2025)",
    "full-bound": "full bound",
    "sequential": "sequential, default",
}
HEADER = ("estimator", "images", "AUC", "accuracy", "passes per image", "ms per image", "passes over ours", "time over ours")


def _of(name: str) -> list[str]:
    found = {
        key: read(f"evidence/{name}-{key}.json")[0] for key in TITLES if (RESULTS / f"evidence/{name}-{key}.json").exists()
    }
    if "sequential" not in found:
        return [f"### {DATA_SETS[name]}", "", "Not measured yet.", ""]
    ours = found["sequential"]
    rows = [
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
    return [f"### {DATA_SETS[name]}", "", *table(HEADER, rows)]


def section() -> list[str]:
    """Both data sets."""
    return [
        "## Evidence: what a decision costs",
        "",
        "    python benchmarks/evidence.py --data FOLDER",
        "",
        "Same network (seed 0), same test images, one run; a backward pass counts as two.  Aim: sequential within 0.005 AUC",
        "and 0.01 accuracy of the full bound at 8 passes or fewer, and 100 times fewer passes than the released estimator.",
        "",
        *_of("pneumoniamnist"),
        *_of("breastmnist"),
    ]
