"""Are images unlike the training images told from test images?  AUROC of the novelty score, beside the ResNet-18's.

    python benchmarks/novelty.py --data FOLDER         # after benchmarks/medmnist.py has trained both methods
    python benchmarks/novelty.py --phantom RUN         # textures of another exponent, on a run folder of `bayescope demo`
    python benchmarks/novelty.py --data FOLDER --only breastmnist --seeds 0 --images 20 --results /tmp/tried

Against (a) test images of the other data set, (b) corrupted test images (benchmarks/corruptions.py, all strengths) and (c)
phantom textures of another exponent.  Bayescope is asked for its score and its p-value (the score's rank among few held-out
images, so coarser); the ResNet-18 for its maximum softmax (Hendrycks & Gimpel 2017) and the Mahalanobis distance of its last
features to the nearest class mean of the training images (Lee et al. 2018).  The first 75 test images of each class.  Nothing
is fitted on odd images.  Rows are kept in benchmarks/results/novelty; delete a file to measure it again.
"""

from pathlib import Path

import numpy as np
from sklearn.covariance import LedoitWolf

from bayescope.checkpoint import load_model
from bayescope.compare.training import TrainedNetwork
from bayescope.data.phantom import Phantom
from bayescope.data.sources import load_dataset
from bayescope.metrics import one_vs_rest_auc
from bayescope.model import LikelihoodModel
from bayescope.novelty import Verdict
from bayescope.shapes import Floats, Pixels
from corruptions import CORRUPTIONS, STRENGTHS, corrupted
from medmnist import FILES
from rows import Case, cases, few, first_of_each_class, keep, parse, parser, warned

PER_CLASS = 75
EXPONENTS = (2.0, 2.5, 3.5, 4.0)


def novelty(model: LikelihoodModel, pixels: Pixels) -> Verdict:
    """Bayescope's verdict on each image, at the default error rate."""
    verdict = model.classify(pixels, test_novelty=True).novelty
    assert verdict is not None, "the model has no novelty test: too few validation images"
    return verdict


def mahalanobis(network: TrainedNetwork, case: Case) -> tuple[Floats, Floats]:
    """Means of the training features per class, and their common precision."""
    features, labels = network.features(case.data.train.pixels), case.data.train.labels
    means = np.stack([features[labels == k].mean(axis=0) for k in range(network.n_classes)])
    return means, LedoitWolf(assume_centered=True).fit(features - means[labels]).precision_


def distance(features: Floats, means: Floats, precision: Floats) -> Floats:
    """Squared Mahalanobis distance to the nearest class mean: ``(n,)``."""
    off = features[:, None] - means
    return np.einsum("nkf,fg,nkg->nk", off, precision, off, optimize=True).min(axis=1)


def measure(case: Case, other: Pixels, per_class: int) -> dict[str, object]:
    """AUROC of every score against every kind of odd image."""
    chosen = first_of_each_class(case.data.test.labels, per_class)
    usual = case.data.test.pixels[chosen]
    odd = {"other modality": other} | {
        f"{name} {strength}": corrupted(usual, name, strength) for name in CORRUPTIONS for strength in STRENGTHS
    }
    means, precision = mahalanobis(case.network, case)

    def scores(pixels: Pixels) -> tuple[dict[str, Floats], float]:
        verdict = novelty(case.model, pixels)
        found = {
            "bayescope": verdict.score,
            "bayescope, p-value": -verdict.p_value,
            "maximum softmax": -case.network.predict(pixels).max(axis=1),
            "Mahalanobis": distance(case.network.features(pixels), means, precision),
        }
        return found, warned(verdict)

    (ours, false_warnings), aurocs, warnings = scores(usual), {}, {}
    for name, pixels in odd.items():
        theirs, warnings[name] = scores(pixels)
        aurocs[name] = {key: auroc(ours[key], theirs[key]) for key in ours}
        print(case.name, case.seed, name, aurocs[name], flush=True)
    return {"images": len(usual), "auroc": aurocs, "warned": warnings, "false_warnings": false_warnings}


def auroc(usual: Floats, odd: Floats) -> float:
    """Of telling odd images from usual ones by a score that is higher for odd ones."""
    return round(one_vs_rest_auc(np.r_[usual, odd], np.arange(len(usual) + len(odd)) >= len(usual)), 4)


def measure_phantom(run: Path, count: int) -> dict[str, float]:
    """Textures of another exponent, against those the run was trained on."""
    model = load_model(run)
    usual = novelty(model, Phantom().sample(count, 123)[0][:, None]).score
    found = {}
    for exponent in EXPONENTS:
        odd = Phantom(exponent=exponent).sample(count, 124)[0][:, None]
        found[f"exponent {exponent}"] = auroc(usual, novelty(model, odd).score)
    return found


def main() -> None:
    args = parse(parser(__doc__, phantom=True))
    per_class = args.images or PER_CLASS
    if args.phantom:
        keep(args.results / "novelty" / "phantom.json", lambda: measure_phantom(args.phantom, 2 * per_class))
    tests = {name: load_dataset(args.data / file).test for name, file in FILES.items()} if args.data else {}
    for case in cases(args):
        other = next(few(test, per_class).pixels for name, test in tests.items() if name != case.name)
        target = args.results / "novelty" / f"{case.name}-{case.seed}.json"
        keep(target, lambda c=case, o=other: measure(c, o, per_class))


if __name__ == "__main__":
    main()
