"""Corrupted PneumoniaMNIST test images: accuracy and calibration beside the ResNet-18's.

    python benchmarks/robustness.py --data FOLDER      # after benchmarks/medmnist.py has trained the networks

Six corruptions at three strengths (benchmarks/corruptions.py), the first 100 test images of each class, equal prior, default
error rate.  The ResNet-18 is temperature-scaled on validation.  Rows are kept in benchmarks/results/robustness.
"""

import numpy as np
from scipy.special import softmax

from bayescope.data.images import ImageSet
from bayescope.metrics import accuracy, expected_calibration_error, log_loss
from bayescope.shapes import Floats, Labels
from corruptions import CORRUPTIONS, STRENGTHS, corrupted
from rows import RESULTS, Case, cases, first_of_each_class, keep, parser
from temperature import fit_temperature

SETS = ("pneumoniamnist",)
PER_CLASS = 100


def scores(posterior: Floats, labels: Labels) -> dict[str, float]:
    """Accuracy, expected calibration error of the confidence and log loss."""
    return {
        "accuracy": accuracy(posterior, labels),
        "ece": expected_calibration_error(posterior, labels),
        "log_loss": log_loss(posterior, labels),
    }


def measure(case: Case, split: ImageSet, temperature: float, name: str, strength: int) -> dict[str, object]:
    """Both methods on one corruption."""
    pixels = split.pixels if name == "none" else corrupted(split.pixels, name, strength)
    answers = case.model.classify(pixels, test_novelty=True)
    verdict = answers.novelty
    return {
        "bayescope": scores(answers.posterior, split.labels),
        "resnet18": scores(softmax(case.network.logits(pixels) / temperature, axis=1), split.labels),
        "warned": float(np.mean([line != "" for line in verdict.warnings()])) if verdict else None,
    }


def main() -> None:
    args = parser(__doc__, SETS).parse_args()
    for case in cases(args, SETS):
        split = case.data.test.subset(first_of_each_class(case.data.test.labels, PER_CLASS))
        temperature = fit_temperature(case.network.logits(case.data.val.pixels), case.data.val.labels)
        for name in ("none", *CORRUPTIONS):
            for strength in STRENGTHS if name != "none" else (0,):
                target = RESULTS / "robustness" / f"{case.name}-{case.seed}-{name}-{strength}.json"
                keep(target, lambda n=name, s=strength, c=case, t=temperature, p=split: measure(c, p, t, n, s))


if __name__ == "__main__":
    main()
