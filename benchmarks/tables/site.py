"""A model at another site: adapting it, and class frequencies."""

from typing import Any

import numpy as np

from benchmarks.site import SHARES
from benchmarks.tables.markdown import read, spread, table


def section() -> list[str]:
    """Calibration before and after, and estimated frequencies."""
    records = read("site", "pneumoniamnist-*")
    if not records:
        return []
    return [
        "## A model at another site",
        "",
        "    python -m benchmarks site --data FOLDER",
        "",
        "PneumoniaMNIST's test images, halved ten times: adapted to one half, or to a part of it, measured on the other.",
        f"{len(records)} seed(s); means and standard deviations over halves and seeds. Calibration loss in bits.",
        "Were it right: labels drawn with the adapted model's own probabilities, of which the calibration is perfect; so few",
        "images show no less loss than that. Isotonic calibration shows less, since its ratios are tied as the measure's own",
        "fit ties them, but its ratios are worse: Cllr and AUC.",
        "",
        *table(("fitted on", "calibration loss", "Cllr", "AUC", "accuracy"), _scores(records)),
        "Share of pneumonia among 300 images drawn from the half not adapted to, or from the validation images, by maximum",
        "likelihood: mean and standard deviation of the estimates, and how often the 95 % interval covers the true share. The",
        "interval covers the choice of images, not the error of the calibration.",
        "",
        *table(("model", "true share", "estimate", "interval covers"), _frequencies(records)),
    ]


def _scores(records: list[dict[str, Any]]) -> list[list[object]]:
    rows: list[list[object]] = []
    for name in records[0]["scores"]:
        found = [row for record in records for row in record["scores"][name]]
        title = name if name.startswith("ResNet") else f"Bayescope {name}"
        keys = ("calibration loss", "Cllr", "AUC", "accuracy")
        rows.append([title, *(spread([row[key] for row in found]) for key in keys)])
    return rows


def _frequencies(records: list[dict[str, Any]]) -> list[list[object]]:
    rows: list[list[object]] = []
    for name in ("before", "adapted", "validation images"):
        for share in SHARES:
            found = np.array([row for record in records for row in record["frequencies"][f"{name}, {share:g}"]])
            covered = ((found[:, 1] <= share) & (share <= found[:, 2])).mean()
            title = f"Bayescope {name}" if name != "validation images" else "Bayescope, on validation images"
            rows.append([title, f"{100 * share:g} %", spread((100 * found[:, 0]).tolist(), 1) + " %", f"{100 * covered:.0f} %"])
    return rows
