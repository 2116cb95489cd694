"""Estimators of the evidence side by side: same network, same test images, one run.

    python benchmarks/evidence.py --data FOLDER                     # after benchmarks/medmnist.py has trained the networks
    python benchmarks/evidence.py --data FOLDER --only breastmnist --images 50

Networks are those of seed 0 in runs/medmnist.  Every estimator decides with equal priors; AUC is that of its score for class
1.  Each row is kept as JSON in benchmarks/results/evidence; delete a file to measure it again.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from bayescope.checkpoint import load_model
from bayescope.data.images import ImageSet
from bayescope.data.sources import load_dataset
from bayescope.divergence import Hutchinson, gaussian_probes
from bayescope.evidence.bound import draw_noise, level_evidence
from bayescope.evidence.flow import TerminalGaussian, flow_log_likelihood
from bayescope.exact import exact_likelihood
from bayescope.model import LikelihoodModel
from bayescope.noise import VP
from bayescope.ode import DormandPrince
from bayescope.shapes import Floats
from medmnist import FILES, MODELS

RESULTS = Path(__file__).parent / "results" / "evidence"
SIGMAS = torch.tensor([0.01, 80.0])


@dataclass(frozen=True)
class Scored:
    """Score of each class ``(n, classes)``, higher for likelier, and network passes per image."""

    values: Floats
    passes: float


def released(model: LikelihoodModel, split: ImageSet) -> Scored:
    """As in the paper's released code: RK45 at 1e-5, one fresh Gaussian probe per class."""
    x = model.checked(split.pixels)
    columns, passes = [], 0.0
    for k in range(len(model.class_names)):
        generator = torch.Generator().manual_seed(1000 + k)
        probe = Hutchinson(gaussian_probes(1, model.image_shape, generator))

        def of_class(z: torch.Tensor, sigma: torch.Tensor, label: torch.Tensor, k: int = k) -> torch.Tensor:
            return model.denoiser(z, sigma, label + k)

        found = flow_log_likelihood(of_class, x, 1, SIGMAS, probe, DormandPrince(1e-5), TerminalGaussian(model.denoiser.mean))
        columns.append(found.log_likelihood[:, 0])
        passes += found.passes.mean()
    return Scored(np.stack(columns, axis=1), passes)


def shared_probes(model: LikelihoodModel, split: ImageSet) -> Scored:
    """The same flow with our defaults: four Rademacher probes shared by the classes, tolerance 1e-4."""
    found = exact_likelihood(model, split.pixels)
    return Scored(found.log_likelihood, float(found.passes.mean()))


def random_levels(model: LikelihoodModel, split: ImageSet, n_draws: int) -> Floats:
    """Squared error of the predicted noise at levels uniform in VP time, shared by the classes: ``(n, classes, draws)``."""
    generator = torch.Generator().manual_seed(7)
    times = 1e-3 + (1 - 1e-3) * torch.rand(n_draws, generator=generator)
    sigmas = VP().sigma(times).double().numpy()
    noise = draw_noise(n_draws, 1, model.image_shape, 8)
    return level_evidence(model.denoiser, model.checked(split.pixels), sigmas, noise).values[..., 0]


def averaged(n_passes: int, model: LikelihoodModel, split: ImageSet) -> Scored:
    """Li et al. (2023): the mean error over random levels, no weights."""
    n_draws = n_passes // len(model.class_names)
    return Scored(random_levels(model, split, n_draws).mean(axis=2), n_passes)


def majority(n_levels: int, model: LikelihoodModel, split: ImageSet) -> Scored:
    """Favero et al. (2025): every random level votes for the class of the smallest error."""
    errors = random_levels(model, split, n_levels)
    votes = errors.argmax(axis=1)
    share = np.stack([(votes == k).mean(axis=1) for k in range(errors.shape[1])], axis=1)
    return Scored(share, n_levels * errors.shape[1])


def full(model: LikelihoodModel, split: ImageSet) -> Scored:
    """All levels and noises, with the weights fitted on validation."""
    answers = model.classify(split.pixels, error_rate=0.0)
    return Scored(answers.log_posterior, answers.mean_passes)


def sequential(model: LikelihoodModel, split: ImageSet) -> Scored:
    """Stops when the winner is settled, default error rate."""
    answers = model.classify(split.pixels)
    return Scored(answers.log_posterior, answers.mean_passes)


ESTIMATORS: dict[str, Callable[[LikelihoodModel, ImageSet], Scored]] = {
    "sequential": sequential,
    "full-bound": full,
    "uniform-250": partial(averaged, 250),
    "uniform-1000": partial(averaged, 1000),
    "majority-501": partial(majority, 501),
    "flow-shared-probes": shared_probes,
    "flow-released": released,
}


def measure(name: str, model: LikelihoodModel, split: ImageSet) -> dict[str, object]:
    """One row."""
    ESTIMATORS[name](model, split.subset(np.arange(2)))
    began = time.perf_counter()
    scored = ESTIMATORS[name](model, split)
    seconds = time.perf_counter() - began
    return {
        "images": len(split),
        "auc": float(roc_auc_score(split.labels, scored.values[:, 1] - scored.values[:, 0])),
        "accuracy": float((scored.values.argmax(axis=1) == split.labels).mean()),
        "passes": scored.passes,
        "ms_per_image": 1000 * seconds / len(split),
        "threads": torch.get_num_threads(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the two .npz files")
    parser.add_argument("--only", choices=FILES, help="one data set")
    parser.add_argument("--estimator", choices=ESTIMATORS, nargs="+", default=list(ESTIMATORS))
    parser.add_argument("--images", type=int, help="the first so many test images (default: all)")
    args = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for data_name in [args.only] if args.only else FILES:
        split = load_dataset(args.data / FILES[data_name]).test
        split = split.subset(np.arange(len(split))[: args.images])
        model = load_model(MODELS / f"{data_name}-0")
        for name in args.estimator:
            target = RESULTS / f"{data_name}-{name}.json"
            if not target.exists():
                target.write_text(json.dumps(measure(name, model, split), indent=1) + "\n")
            print(target.name, target.read_text().replace("\n", ""), flush=True)


if __name__ == "__main__":
    main()
