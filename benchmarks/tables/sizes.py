"""Bayescope and a ResNet-18 given the same time above 28 px, next to the published best of ten networks at the size."""

from typing import Any

from benchmarks.sizes import FILES, METHODS
from benchmarks.tables.markdown import read, spread, table

SIZES = (64, 128)
DATA_SETS = {"chest": "Chest X-rays (Kermany 2018, the source of PneumoniaMNIST)", "breast": "BreastMNIST (reassembled)"}
TITLES = {
    "bayescope": "Bayescope, fitted weights",
    "bound": "the same, plain bound",
    "early": "the same, fitted weights, scoring stopped early",
    "bayescope-from-chest": "Bayescope, fitted weights, from the network of the chest X-rays",
    "resnet18": "MONAI ResNet-18, at most the processor time of the first",
}
PUBLISHED = {
    ("chest", 64): (0.987, 0.893),
    ("chest", 128): (0.989, 0.905),
    ("breast", 64): (0.917, 0.878),
    ("breast", 128): (0.940, 0.906),
}
HEADER = (
    "method",
    "validation AUC",
    "test AUC",
    "accuracy",
    "seeds",
    "steps",
    "training, processor minutes",
    "minutes elapsed",
    "passes per image",
    "ms per image",
)


def _scores(records: list[dict[str, Any]], suffix: str = "") -> list[str]:
    keys = ((f"val{suffix}", "auc"), (f"test{suffix}", "auc"), (f"test{suffix}", "accuracy"))
    return [spread([record[part][key] for record in records]) for part, key in keys]


def _minutes(records: list[dict[str, Any]], clock: str) -> str:
    return spread([record["training"][clock] / 60 for record in records], digits=1)


def _trained(records: list[dict[str, Any]], method: str) -> list[object]:
    cost = [records[0]["steps"], _minutes(records, "processor"), _minutes(records, "elapsed"), records[0]["passes"]]
    return [TITLES[method], *_scores(records), len(records), *cost, spread([r["test_ms"] for r in records], digits=0)]


def _scored_otherwise(records: list[dict[str, Any]]) -> list[list[object]]:
    early = [spread([record["test_early"][key] for record in records], digits) for key, digits in (("passes", 1), ("ms", 0))]
    return [
        [TITLES["bound"], *_scores(records, "_bound"), *[""] * 6],
        [TITLES["early"], *_scores(records, "_early"), *[""] * 4, *early],
    ]


def _of(name: str, pixels: int) -> list[str]:
    rows: list[list[object]] = []
    for method in METHODS:
        if records := read("sizes", f"{name}-{pixels}-{method}-[0-9]*"):
            rows.append(_trained(records, method))
            rows += _scored_otherwise(records) if method != "resnet18" else []
    if not rows:
        return []
    best_auc, best_accuracy = PUBLISHED[name, pixels]
    rows.append(["best of ten networks, published (MedMNIST+)", "", f"{best_auc:.3f}", f"{best_accuracy:.3f}", *[""] * 6])
    return [f"### {DATA_SETS[name]}, {pixels} px", "", *table(HEADER, rows)]


def section() -> list[str]:
    """Every data set and size that was measured."""
    return [
        "## Real sizes",
        "",
        "    python -m benchmarks sizes --data FOLDER",
        "",
        "One thread of a machine with other work: minutes elapsed are upper bounds, processor minutes are those of training",
        "alone. The ResNet-18 starts from random weights and keeps its best of 20 checks on the validation split; the",
        "published networks start from ImageNet. Recipes (`benchmarks/sizes`) were chosen by the validation AUC of the plain",
        "bound, those of the chest X-rays on images of other file names; other validation AUCs are of images that level",
        "weights were fitted to, or the network was stopped by. The test split was read once for each recipe; these are",
        "the second (*What is open*). Equal class prior. Milliseconds are of the processor.",
        "",
        *(line for name in FILES for pixels in SIZES for line in _of(name, pixels)),
    ]
