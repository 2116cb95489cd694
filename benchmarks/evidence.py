"""Estimators of the evidence side by side: same network, same test images, one run.

    python -m benchmarks evidence --data FOLDER  # after the benchmark medmnist has trained the networks
    python -m benchmarks evidence --data FOLDER --only breastmnist --images 25

Networks are those of seed 0 in runs/medmnist.  Every estimator decides with equal priors; AUC is that of its score for class
1.  All are asked of the first test images of each class, the quick ones also of all test images.  What stopping early costs
is also measured on the networks of all seeds (`--seeds`).  Rows are kept in
benchmarks/results/evidence.jsonl; remove a line to measure it again.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from bayescope.data.dataset import ImageSet
from bayescope.data.load import load_dataset
from bayescope.diffusion.divergence import Hutchinson, gaussian_probes
from bayescope.diffusion.ode import DormandPrince
from bayescope.diffusion.schedules import VP
from bayescope.evidence.denoising import LevelEvidence, level_evidence
from bayescope.evidence.flow import TerminalGaussian, flow_log_likelihood
from bayescope.evidence.level_weights import LevelWeights, level_spacing
from bayescope.evidence.noise import draw_noise
from bayescope.inference.estimators import ESTIMATORS as PACKAGED
from bayescope.inference.model import LikelihoodModel
from bayescope.runs.model_file import load_model
from bayescope.types import Floats, Labels
from benchmarks.medmnist import FILES, kept_model
from benchmarks.rows import few, parse, parser
from benchmarks.store import Store

PER_CLASS = 50
SIGMAS = torch.tensor([0.01, 80.0])


@dataclass(frozen=True)
class Scored:
    """Score of each class ``(n, classes)``, higher for likelier, and network passes per image."""

    values: Floats
    passes: float


def released(model: LikelihoodModel, split: ImageSet) -> Scored:
    """As in the paper's released code: RK45 at 1e-5, a fresh Gaussian probe for each image and class."""
    x = model.checked(split.pixels)
    columns, passes = [], 0.0
    for k in range(len(model.class_names)):
        probes = gaussian_probes(len(x), model.image_shape, torch.Generator().manual_seed(1000 + k))
        probe = Hutchinson(probes[None])

        def of_class(z: torch.Tensor, sigma: torch.Tensor, label: torch.Tensor, k: int = k) -> torch.Tensor:
            return model.denoiser(z, sigma, label + k)

        found = flow_log_likelihood(
            of_class, x, 1, SIGMAS, probe, DormandPrince(1e-5), TerminalGaussian(model.denoiser.mean), batch_size=len(x)
        )
        columns.append(found.log_likelihood[:, 0])
        passes += found.passes.mean()
    return Scored(np.stack(columns, axis=1), passes)


def packaged(word: str, model: LikelihoodModel, split: ImageSet) -> Scored:
    """An estimator of the package, with the settings of the model.

    "flow": four Rademacher probes shared by the classes, tolerance 1e-4; "full": all levels and noises, with the weights and
    the calibration fitted on validation; "sequential": stops when the winner is settled, default disagreement rate.
    """
    found = PACKAGED[word](model, split.pixels)
    return Scored(found.values, float(found.passes.mean()))


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


def bound(model: LikelihoodModel, split: ImageSet) -> Scored:
    """All levels and noises, the levels weighted as the integral has them."""
    levels = model.level_evidence(split.pixels)
    return Scored(bound_of(levels), levels.passes)


def bound_of(levels: LevelEvidence) -> Floats:
    return LevelWeights(level_spacing(levels.sigmas), np.zeros(levels.values.shape[1])).evidence(levels)


QUICK = ("sequential", "full-bound", "full-fitted")
ESTIMATORS: dict[str, Callable[[LikelihoodModel, ImageSet], Scored]] = {
    "sequential": partial(packaged, "sequential"),
    "full-bound": bound,
    "full-fitted": partial(packaged, "full"),
    "uniform-250": partial(averaged, 250),
    "uniform-1000": partial(averaged, 1000),
    "majority-501": partial(majority, 501),
    "flow-shared-probes": partial(packaged, "flow"),
    "flow-released": released,
}


def measure(name: str, model: LikelihoodModel, split: ImageSet) -> dict[str, object]:
    """One row."""
    ESTIMATORS[name](model, split.subset(np.arange(2)))
    began = time.perf_counter()
    scored = ESTIMATORS[name](model, split)
    seconds = time.perf_counter() - began
    return grade(scored.values, split.labels) | {
        "images": len(split),
        "passes": scored.passes,
        "ms_per_image": 1000 * seconds / len(split),
        "threads": torch.get_num_threads(),
    }


def grade(values: Floats, labels: Labels) -> dict[str, float]:
    """AUC and accuracy of scores ``(n, 2)``."""
    return {
        "auc": float(roc_auc_score(labels, values[:, 1] - values[:, 0])),
        "accuracy": float((values.argmax(axis=1) == labels).mean()),
    }


def cost_of_stopping(model: LikelihoodModel, split: ImageSet) -> dict[str, object]:
    """The same images by the full bound, with fitted weights, and stopped early: one network."""
    levels, early = model.level_evidence(split.pixels), model.classify(split.pixels)
    in_full = model.predict_from_levels(levels).log_posterior
    return {
        "full-bound": grade(bound_of(levels), split.labels),
        "full-fitted": grade(in_full, split.labels),
        "sequential": grade(early.log_posterior, split.labels),
        "passes": early.mean_passes,
        "disagreement": float((in_full.argmax(axis=1) != early.log_posterior.argmax(axis=1)).mean()),
    }


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--estimator", choices=ESTIMATORS, nargs="+", default=list(ESTIMATORS))
    args = parse(options)
    store = Store("evidence", args.results)
    for data_name in [args.only] if args.only else FILES:
        test = load_dataset(args.data / FILES[data_name]).test
        model = load_model(args.models / kept_model(data_name, "bayescope", 0).name)
        for scope, split in (("", few(test, args.images or PER_CLASS)), ("-all", test)):
            for name in args.estimator if not scope else [name for name in QUICK if name in args.estimator]:
                row = f"{data_name}-{name}{scope}"
                store.keep(row, lambda n=name, m=model, s=split: measure(n, m, s))
        for seed in args.seeds:
            trained = load_model(args.models / kept_model(data_name, "bayescope", seed).name)
            row = f"{data_name}-stopping-{seed}"
            store.keep(row, lambda m=trained, s=test: cost_of_stopping(m, s))
