"""Are images unlike the training images told from test images?  AUROC of the novelty score, beside the ResNet-18's.

    python benchmarks/novelty.py --data FOLDER         # after benchmarks/medmnist.py has trained the networks
    python benchmarks/novelty.py --phantom RUN         # textures of another exponent, on a run folder of `bayescope demo`

Against (a) test images of the other data set, (b) corrupted test images (benchmarks/corruptions.py, strongest) and (c) phantom
textures of another exponent.  The ResNet-18 is asked for its maximum softmax (Hendrycks & Gimpel 2017) and the Mahalanobis
distance of its last features to the nearest class mean of the training images (Lee et al. 2018).  The first 75 test images of
each class.  Rows are kept in benchmarks/results/novelty.
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
from bayescope.shapes import Floats, Pixels
from corruptions import CORRUPTIONS, STRENGTHS, corrupted
from medmnist import FILES
from rows import RESULTS, Case, cases, first_of_each_class, keep, parser

PER_CLASS = 75
EXPONENTS = (2.0, 2.5, 3.5, 4.0)


def likelihood_score(model: LikelihoodModel, pixels: Pixels) -> tuple[Floats, Floats]:
    """Novelty score, higher is odder, and p-value of each image: both ``(n,)``."""
    verdict = model.classify(pixels, test_novelty=True).novelty
    assert verdict is not None, "the model has no novelty test: too few validation images"
    return verdict.score, verdict.p_value


def mahalanobis(network: TrainedNetwork, case: Case) -> tuple[Floats, Floats]:
    """Means of the training features per class, and their common precision."""
    features, labels = network.features(case.data.train.pixels), case.data.train.labels
    means = np.stack([features[labels == k].mean(axis=0) for k in range(network.n_classes)])
    return means, LedoitWolf(assume_centered=True).fit(features - means[labels]).precision_


def distance(features: Floats, means: Floats, precision: Floats) -> Floats:
    """Squared Mahalanobis distance to the nearest class mean: ``(n,)``."""
    off = features[:, None] - means
    return np.einsum("nkf,fg,nkg->nk", off, precision, off, optimize=True).min(axis=1)


def measure(case: Case, other: Pixels) -> dict[str, object]:
    """AUROC of every score against every kind of odd image."""
    chosen = first_of_each_class(case.data.test.labels, PER_CLASS)
    usual = case.data.test.pixels[chosen]
    odd = {"other modality": other} | {
        f"{name} {strength}": corrupted(usual, name, strength) for name in CORRUPTIONS for strength in STRENGTHS
    }
    means, precision = mahalanobis(case.network, case)

    def scores(pixels: Pixels) -> dict[str, Floats]:
        return {
            "bayescope": likelihood_score(case.model, pixels)[0],
            "maximum softmax": -case.network.predict(pixels).max(axis=1),
            "Mahalanobis": distance(case.network.features(pixels), means, precision),
        }

    ours, found = scores(usual), {}
    for name, pixels in odd.items():
        theirs = scores(pixels)
        found[name] = {key: auroc(ours[key], theirs[key]) for key in ours}
        print(case.name, case.seed, name, found[name], flush=True)
    return {"auroc": found, "false_warnings": float((likelihood_score(case.model, usual)[1] <= 0.01).mean())}


def auroc(usual: Floats, odd: Floats) -> float:
    """Of telling odd images from usual ones by a score that is higher for odd ones."""
    return round(one_vs_rest_auc(np.r_[usual, odd], np.arange(len(usual) + len(odd)) >= len(usual)), 4)


def measure_phantom(run: Path) -> dict[str, float]:
    """Textures of another exponent, against those the run was trained on."""
    model = load_model(run)
    usual = likelihood_score(model, Phantom().sample(150, 123)[0][:, None])[0]
    return {
        f"exponent {exponent}": auroc(
            usual, likelihood_score(model, Phantom(exponent=exponent).sample(150, 124)[0][:, None])[0]
        )
        for exponent in EXPONENTS
    }


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--phantom", type=Path, help="run folder of a phantom model")
    args = options.parse_args()
    if args.phantom:
        keep(RESULTS / "novelty" / "phantom.json", lambda: measure_phantom(args.phantom))
    others = {name: load_dataset(args.data / file).test.pixels for name, file in FILES.items()}
    for case in cases(args):
        other = next(pixels for name, pixels in others.items() if name != case.name)[:150]
        keep(RESULTS / "novelty" / f"{case.name}-{case.seed}.json", lambda c=case, o=other: measure(c, o))


if __name__ == "__main__":
    main()
