"""How fast networks learn, and from how many labels."""

from typing import Any

from benchmarks.learning import NETWORKS, PSEUDO, SHARES, WAYS
from benchmarks.tables.markdown import DATA_SETS, read, spread, table

SPEED = (
    "way",
    "steps",
    "validation AUC halfway / at the end",
    "of changed images",
    "test AUC, bound",
    "accuracy",
    "test AUC, fitted weights",
    "accuracy",
    "processor time of training, s",
    "seeds",
)
TITLES = {
    "resnet18": "MONAI ResNet-18",
    "efficientnet-b0": "MONAI EfficientNet-B0",
    PSEUDO: "MONAI ResNet-18, trained again with its own labels where it was sure",
}


TITLE_OF = DATA_SETS | {"chest": "Chest X-rays (Kermany 2018), 64 px"}


def _title(name: str, way: str) -> str:
    return TITLES[way] if way in TITLES else WAYS[name][way].title


def _values(records: list[dict[str, Any]], part: str, measure: str) -> list[float]:
    return [record[part][measure] for record in records if part in record]


def _halfway(record: dict[str, Any]) -> float:
    """Of the network, whose best weights are kept: the best of the first half of its steps."""
    checks = record["curve"]
    if len(checks) == 2:
        return checks[0]["val_auc"]
    return max(check["val_auc"] for check in checks if check["step"] <= record["steps"] / 2)


def _speed(name: str, way: str) -> list[object] | None:
    records = read("learning", f"{name}-100-{way}-[0-9]*")
    if not records:
        return None
    halfway, end = spread([_halfway(record) for record in records]), spread(_values(records, "val", "auc"))
    changed = _values(records, "val_shifted", "auc")
    found = [spread(_values(records, part, measure)) for part in ("test", "test_fitted") for measure in ("auc", "accuracy")
             if _values(records, part, measure)]  # fmt: skip
    seconds = spread([record["seconds"] for record in records], digits=0)
    steps = records[0]["steps"]
    return [
        _title(name, way),
        steps,
        f"{halfway} / {end}",
        spread(changed) if changed else "",
        *found,
        *[""] * (4 - len(found)),
        seconds,
        len(records),
    ]


def _shares(name: str) -> list[str]:
    rows = []
    for way in (*WAYS[name], *TITLES):
        cells = []
        for share in SHARES:
            records = read("learning", f"{name}-{share}-{way}-[0-9]*")
            auc, accuracy = (_values(records, "test", measure) for measure in ("auc", "accuracy"))
            cells.append(f"{spread(auc)} / {spread(accuracy)} ({len(records)})" if records else "")
        if any(cells[:-1]):
            rows.append([_title(name, way), *cells])
    return table(["way", *(f"{share} %" for share in SHARES)], rows) if rows else []


def section() -> list[str]:
    """Both data sets."""
    lines = [
        "## Learning: steps and labels",
        "",
        "    python -m benchmarks learning --data FOLDER --shares 100 5 1",
        "",
        "One thread. Images scored at 10 levels and 2 noises without calibration augmentation, less than elsewhere on this "
        "page. The",
        "bound's weights are given, not learned; ways were compared by the validation AUC it reaches on images as they are and",
        "changed: moved up to twice as far as light augmentation does, contrast and brightness varied. Halfway is between the",
        "first step with classes and the last. The ResNet-18 is stopped by all validation labels, and its validation AUC is of",
        "the images that stopped it. Processor time is that of one thread on a machine with other work, for the ResNet-18 with",
        "its 20 checks: only ratios within a table mean something, and these roughly.",
        "",
    ]
    for name in WAYS:
        rows = [row for way in (*WAYS[name], *NETWORKS) if (row := _speed(name, way))]
        if not rows:
            continue
        lines += [f"### {TITLE_OF[name]}, all labels", "", *table(SPEED, rows)]
        if shares := _shares(name):
            lines += [
                f"### {TITLE_OF[name]}, a share of the labels: test AUC / accuracy (seeds)",
                "",
                "Of the bound, and of the ResNet-18. The other training images have no labels here; only ways that start from",
                "p(x) see them.",
                "",
                *shares,
            ]
    return lines
