"""Are images unlike the training images distinguished from test images?  AUROC of the novelty score, next to the ResNet-18's.

    python -m benchmarks novelty --data FOLDER         # after python -m benchmarks medmnist has trained both methods
    python -m benchmarks novelty --phantom RUN         # textures of another exponent, on a run folder of `bayescope demo`
    python -m benchmarks novelty --data FOLDER --only breastmnist --seeds 0 --images 20 --results /tmp/tried

Against (a) test images of the other data set, (b) corrupted test images (benchmarks/corruptions.py, all strengths) and (c)
phantom textures of another exponent, where a ResNet-18 is trained on 12,000 phantom images first.  Bayescope is asked for its
score and its p-value (the score's rank among few held-out images, so coarser); the ResNet-18 for its maximum softmax
(Hendrycks & Gimpel 2017) and the Mahalanobis distance of its last features to the nearest class mean of the training images
(Lee et al. 2018).  The first 75 test images of each class.  Nothing is fitted on odd images.  Rows are kept in
benchmarks/results/novelty.jsonl; remove a line to measure it again.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from scipy.stats import rankdata
from sklearn.covariance import LedoitWolf

from bayescope.data.dataset import ImageSet
from bayescope.data.load import load_dataset
from bayescope.data.phantom import Phantom
from bayescope.evaluation.compare.training import Recipe, TrainedNetwork, train_network
from bayescope.evaluation.demo import phantom_dataset
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.novelty import NoveltyResult
from bayescope.metrics.delong import one_vs_rest_auc
from bayescope.runs.model_file import load_model
from bayescope.types import Floats, Pixels
from benchmarks.corruptions import CORRUPTIONS, STRENGTHS, corrupted
from benchmarks.medmnist import FILES
from benchmarks.rows import Case, cases, few, first_of_each_class, parse, parser, warned
from benchmarks.store import Store

PER_CLASS = 75
EXPONENTS = (2.0, 2.5, 3.5, 4.0)
PHANTOM_IMAGES, PHANTOM_STEPS = 12_000, 600


def novelty(model: LikelihoodModel, pixels: Pixels) -> NoveltyResult:
    """Bayescope's result on each image, at the default disagreement rate."""
    novelty_result = model.classify(pixels, trust_tests=True).novelty
    assert novelty_result is not None, "the model has no novelty test: too few validation images"
    return novelty_result


@dataclass(frozen=True)
class Scorer:
    """Every score of novelty by both methods, higher for odder images."""

    model: LikelihoodModel
    network: TrainedNetwork
    means: Floats
    precision: Floats

    @classmethod
    def of(cls, model: LikelihoodModel, network: TrainedNetwork, train: ImageSet) -> Self:
        """``means`` of the training features per class, and their common ``precision``."""
        features, labels = network.features(train.pixels), train.labels
        means = np.stack([features[labels == k].mean(axis=0) for k in range(network.n_classes)])
        return cls(model, network, means, LedoitWolf(assume_centered=True).fit(features - means[labels]).precision_)

    def __call__(self, pixels: Pixels) -> tuple[dict[str, Floats], float]:
        """By name, ``(n,)`` each, and the share of images that Bayescope warns of."""
        novelty_result = novelty(self.model, pixels)
        off = self.network.features(pixels)[:, None] - self.means
        distance = np.einsum("nkf,fg,nkg->nk", off, self.precision, off, optimize=True).min(axis=1)
        found = {
            "bayescope": novelty_result.score,
            "bayescope, p-value": -novelty_result.p_value,
            "maximum softmax": -self.network.predict(pixels).max(axis=1),
            "Mahalanobis": distance,
        }
        return found, warned(novelty_result)


def measure(case: Case, other: Pixels, per_class: int) -> dict[str, object]:
    """AUROC of every score against every kind of odd image."""
    chosen = first_of_each_class(case.data.test.labels, per_class)
    usual = case.data.test.pixels[chosen]
    odd = {"other modality": other} | {
        f"{name} {strength}": corrupted(usual, name, strength) for name in CORRUPTIONS for strength in STRENGTHS
    }
    scores = Scorer.of(case.model, case.network, case.data.train)
    (ours, false_warnings), aurocs, warnings = scores(usual), {}, {}
    for name, pixels in odd.items():
        theirs, warnings[name] = scores(pixels)
        aurocs[name] = {key: auroc(ours[key], theirs[key]) for key in ours}
        print(case.name, case.seed, name, aurocs[name], flush=True)
    return {"images": len(usual), "auroc": aurocs, "warned": warnings, "false_warnings": false_warnings}


def auroc(usual: Floats, odd: Floats) -> float:
    """Of telling odd images from usual ones by a score that is higher for odd ones."""
    return round(one_vs_rest_auc(rankdata(np.r_[usual, odd]), np.arange(len(usual) + len(odd)) >= len(usual)), 4)


def measure_phantom(run: Path, count: int) -> dict[str, dict[str, float]]:
    """Textures of another exponent, against those the run was trained on."""
    data = phantom_dataset(Phantom(), PHANTOM_IMAGES, seed=0)
    network = train_network("resnet18", data, 0, Recipe(PHANTOM_STEPS, augmentation="none"))
    scores = Scorer.of(load_model(run), network, data.train)
    ours, _ = scores(Phantom().sample(count, 123)[0][:, None])
    found = {}
    for exponent in EXPONENTS:
        theirs, _ = scores(Phantom(exponent=exponent).sample(count, 124)[0][:, None])
        found[f"exponent {exponent}"] = {key: auroc(ours[key], theirs[key]) for key in ours}
    return found


def main() -> None:
    args = parse(parser(__doc__, phantom=True))
    store = Store("novelty", args.results)
    per_class = args.images or PER_CLASS
    if args.phantom:
        store.keep("phantom", lambda: measure_phantom(args.phantom, 2 * per_class))
    tests = {name: load_dataset(args.data / file).test for name, file in FILES.items()} if args.data else {}
    for case in cases(args):
        other = next(few(test, per_class).pixels for name, test in tests.items() if name != case.name)
        row = f"{case.name}-{case.seed}"
        store.keep(row, lambda c=case, o=other: measure(c, o, per_class))
