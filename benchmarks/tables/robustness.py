"""Corrupted images: accuracy and calibration of both methods."""

import numpy as np

from tables.markdown import read, table

KINDS = ("inverted", "rotated", "blurred", "noisy", "blank", "half-masked")
HEADER = ("corruption", "strength", "accuracy", "ResNet-18", "ECE", "ResNet-18", "log loss", "ResNet-18", "warned of")


def section() -> list[str]:
    """PneumoniaMNIST."""
    rows = []
    for kind, strengths in [("none", (0,)), *((kind, (1, 2, 3)) for kind in KINDS)]:
        for strength in strengths:
            records = read(f"robustness/pneumoniamnist-*-{kind}-{strength}.json")
            if records:
                cells = [
                    f"{np.mean([r[method][measure] for r in records]):.3f}"
                    for measure in ("accuracy", "ece", "log_loss")
                    for method in ("bayescope", "resnet18")
                ]
                rows.append([kind, strength or "", *cells, f"{np.mean([r['warned'] for r in records]):.2f}"])
    return [
        "## Robustness: corrupted PneumoniaMNIST",
        "",
        "    python benchmarks/robustness.py --data FOLDER",
        "",
        "Mean over seeds; 100 test images of each class; the ResNet-18 is temperature-scaled; the last column is the share of",
        "images that Bayescope warns of as unlike its training images.",
        "",
        *table(HEADER, rows),
    ]
