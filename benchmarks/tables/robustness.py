"""Corrupted images: accuracy and calibration of both methods, and how far they fell."""

from typing import Any

import numpy as np

from benchmarks.tables.markdown import read, table

KINDS = ("inverted", "rotated", "blurred", "noisy", "blank", "half-masked")
MEASURES, METHODS = ("accuracy", "ece", "log_loss"), ("bayescope", "resnet18")
HEADER = ("corruption", "strength", "accuracy", "ResNet-18", "ECE", "ResNet-18", "log loss", "ResNet-18", "warned of")


def _mean(records: list[dict[str, Any]], method: str, measure: str) -> float:
    return float(np.mean([record[method][measure][0] for record in records]))


def section() -> list[str]:
    """PneumoniaMNIST."""
    rows, pairs = [], [(measure, method) for measure in MEASURES for method in METHODS]
    usual = read("robustness", "pneumoniamnist-*-none-0")
    for kind, strengths in [("none", (0,)), *((kind, (1, 2, 3)) for kind in KINDS)]:
        for strength in strengths:
            records = read("robustness", f"pneumoniamnist-*-{kind}-{strength}")
            if not records:
                continue
            values = [_mean(records, method, measure) for measure, method in pairs]
            off = [
                f" ({value - _mean(usual, method, measure):+.3f})" if strength and usual else ""
                for value, (measure, method) in zip(values, pairs, strict=True)
            ]
            warned = [record["warned"] for record in records if record["warned"] is not None]
            cells = [f"{value:.3f}{change}" for value, change in zip(values, off, strict=True)]
            rows.append([kind, strength or "", *cells, f"{np.mean(warned):.2f}" if warned else "–"])
    return [
        "## Robustness: corrupted PneumoniaMNIST",
        "",
        "    python -m benchmarks robustness --data FOLDER",
        "",
        "Mean over seeds, and in brackets the change against the images as they are; 200 test images of each class, equal",
        "prior; the ResNet-18 is temperature-scaled, on images as they are; the last column is the share of images that",
        "Bayescope warns of as unlike its training images.",
        "",
        *table(HEADER, rows),
    ]
