"""Corrupted PneumoniaMNIST test images: accuracy and calibration next to the ResNet-18's.

    python -m benchmarks robustness --data FOLDER      # after python -m benchmarks medmnist has trained both methods
    python -m benchmarks robustness --data FOLDER --seeds 0 --images 20 --results /tmp/tried

Six corruptions at three strengths (benchmarks/corruptions.py), the first 200 test images of each class, so that the equal prior
is right; default disagreement rate.  The ResNet-18 is temperature-scaled on validation; neither method has seen a corrupted
image. Rows are kept in benchmarks/results/robustness.jsonl; remove a line to measure it again.
"""

import numpy as np
from scipy.special import softmax

from bayescope.data.dataset import ImageSet
from bayescope.metrics.bootstrap import bootstrap, by_image
from bayescope.metrics.classification import accuracy, surprise
from bayescope.types import Floats, Labels
from benchmarks.corruptions import CORRUPTIONS, STRENGTHS, corrupted
from benchmarks.rows import Case, cases, few, interval, parse, parser, warned
from benchmarks.store import Store
from benchmarks.temperature import fit_temperature

SETS = ("pneumoniamnist",)
PER_CLASS = 200


def equal_width_ece(posterior: Floats, labels: Labels, n_bins: int = 10) -> float:
    """Mean distance of confidence and accuracy over equal-width bins of the top class's probability."""
    confidence = posterior.max(axis=1)
    hit = posterior.argmax(axis=1) == labels
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    gaps = [abs(confidence[bins == b].sum() - hit[bins == b].sum()) for b in range(n_bins)]
    return float(sum(gaps) / len(labels))


def mean_surprise(posterior: Floats, labels: Labels) -> float:
    """The log loss, nats."""
    return float(surprise(posterior, labels).mean())


MEASURES = {"accuracy": accuracy, "ece": equal_width_ece, "log_loss": mean_surprise}


def scores(posterior: Floats, labels: Labels) -> dict[str, list[float]]:
    """Accuracy, expected calibration error of the confidence and log loss, each with the ends of its interval."""

    def measures(rows: Labels) -> Floats:
        return np.array([measure(posterior[rows], labels[rows]) for measure in MEASURES.values()])

    return dict(zip(MEASURES, map(interval, bootstrap(by_image(measures), len(labels), kind="basic")), strict=True))


def measure(case: Case, split: ImageSet, temperature: float, name: str, strength: int) -> dict[str, object]:
    """Both methods on one corruption."""
    pixels = split.pixels if name == "none" else corrupted(split.pixels, name, strength)
    predictions = case.model.classify(pixels, [0.5, 0.5], trust_tests=True)
    novelty_result = predictions.novelty
    return {
        "images": len(split),
        "passes": predictions.mean_passes,
        "bayescope": scores(predictions.posterior, split.labels),
        "resnet18": scores(softmax(case.network.logits(pixels) / temperature, axis=1), split.labels),
        "warned": warned(novelty_result) if novelty_result else None,
    }


def main() -> None:
    args = parse(parser(__doc__, SETS))
    store = Store("robustness", args.results)
    for case in cases(args, SETS):
        split = few(case.data.test, args.images or PER_CLASS)
        temperature = fit_temperature(case.network.logits(case.data.val.pixels), case.data.val.labels)
        for name in ("none", *CORRUPTIONS):
            for strength in STRENGTHS if name != "none" else (0,):
                row = f"{case.name}-{case.seed}-{name}-{strength}"
                store.keep(row, lambda n=name, s=strength, c=case, t=temperature, p=split: measure(c, p, t, n, s))
