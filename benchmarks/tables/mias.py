"""Mammograms of mini-MIAS in five folds by patient, pooled: Bayescope and a ResNet-18 given the same time."""

from typing import Any

import numpy as np

from bayescope.metrics.calibration import assess
from bayescope.metrics.classification import accuracy
from bayescope.metrics.delong import auc, auc_interval
from bayescope.types import Floats, Labels
from benchmarks.mias import METHODS, OTHERS, PIXELS, TASKS
from benchmarks.tables.markdown import read, spread, table

TITLES = {
    "bayescope": "Bayescope",
    "bayescope-from-chest": "Bayescope, from the network of the chest X-rays",
    "resnet18": "MONAI ResNet-18, at most the processor time of the first",
}
QUESTIONS = {
    "films": "Normal or abnormal, whole films",
    "regions": "Benign or malignant, the region around each finding",
}
HEADER = (
    "method",
    "folds",
    "validation AUC",
    "test AUC (95 %)",
    "accuracy",
    "Cllr, bits",
    "calibration loss, bits (95 %)",
    "ECE",
    "steps",
    "training of a fold, processor minutes",
    "passes per image",
    "ms per image",
)
PART = tuple[Floats, Labels, list[str]]


def _pooled(records: list[dict[str, Any]], part: str) -> PART:
    """Posteriors, labels and patients of the images of all folds."""
    probability, labels = (np.concatenate([record[part][key] for record in records]) for key in ("probability", "label"))
    return np.stack([1 - probability, probability], axis=1), labels, [p for record in records for p in record[part]["patient"]]


def _row(method: str, records: list[dict[str, Any]]) -> list[object]:
    posterior, labels, patients = _pooled(records, "test")
    odds = np.log(np.clip(posterior, 1e-4, None))
    log_ratio = np.stack([odds[:, 0] - odds[:, 1], odds[:, 1] - odds[:, 0]], axis=1)
    calibration = assess(log_ratio, posterior, labels, patients)[-1]
    return [
        TITLES[method],
        len(records),
        f"{auc(*_pooled(records, 'val')[:2]):.3f}",
        auc_interval(posterior, labels, patients),
        f"{accuracy(posterior, labels):.3f}",
        f"{calibration['Cllr'].value:.3f}",
        calibration["calibration loss"],
        f"{calibration['ECE'].value:.3f}",
        records[0]["steps"],
        spread([record["training"]["processor"] / 60 for record in records], digits=1),
        f"{np.mean([record['passes'] for record in records]):.0f}",
        f"{np.mean([record['ms'] for record in records]):.0f}",
    ]


def _novelty(task: str) -> list[str]:
    records = [record for method in METHODS for record in read("mias", f"{task}-{method}-[0-9]") if "novelty" in record]
    if not records:
        return []
    found = [f"{name} {spread([record['novelty'][name] for record in records])}" for name in OTHERS]
    return [f"Novelty test, AUROC against other modalities: {', '.join(found)} (mean over {len(records)} models).", ""]


def _maps(task: str) -> list[str]:
    lines: list[str] = []
    for method in METHODS:
        records = [record["maps"] for record in read("mias", f"{task}-{method}-[0-9]") if "maps" in record]
        if records:
            inside = np.concatenate([record["inside"] for record in records])
            chance = np.concatenate([record["share"] for record in records])
            lines += [
                f"{TITLES[method]}: the maximum of the evidence map is inside the annotated circle on {inside.mean():.0%} of",
                f"{len(inside)} abnormal films; by chance it would be on {chance.mean():.0%}, its share of the breast.",
                "",
            ]
    return lines


def _task(task: str) -> list[str]:
    rows = [_row(method, records) for method in METHODS if (records := read("mias", f"{task}-{method}-[0-9]"))]
    if not rows:
        return []
    return [f"### {QUESTIONS[task]}, {PIXELS} px", "", *table(HEADER, rows), *_novelty(task), *_maps(task)]


def section() -> list[str]:
    """Every task that was measured."""
    tasks = [line for task in TASKS for line in _task(task)]
    if not tasks:
        return []
    return [
        "## Mammograms: mini-MIAS in five folds",
        "",
        "    python -m benchmarks mias --data FOLDER",
        "",
        "Each image is predicted by a model that has seen neither it nor another film of the patient; predictions of all folds",
        "are pooled. Intervals keep patients whole. Recipes (`benchmarks/mias`) were chosen by the validation AUC of the plain",
        "bound of three folds; the test folds were read once. The ResNet-18's validation AUC is of the images that stopped",
        "its training. Equal class prior.",
        "",
        *tasks,
    ]
