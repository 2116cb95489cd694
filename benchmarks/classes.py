"""How passes grow with the number of classes: exact denoisers, sequential scoring at its default disagreement rate.

    python -m benchmarks classes

Gaussian classes in 2, 5, 10 and 20 kinds, and a phantom of eight: normal texture, masses of four sizes, clusters of three.
Kept in benchmarks/results/classes.jsonl.
"""

import json

import numpy as np
import torch

from bayescope.config import EvidenceConfig
from bayescope.data.phantom import Phantom
from bayescope.diffusion.gaussian import Component, GaussianMixtureDenoiser
from bayescope.diffusion.schedules import log_spaced
from bayescope.evidence.denoising import gaussian_evidence, level_evidence
from bayescope.evidence.level_weights import LevelWeights, level_spacing
from bayescope.evidence.noise import draw_noise
from bayescope.evidence.plan import Plan
from bayescope.evidence.plan_fit import fit_level_statistics
from bayescope.evidence.sequential import score_sequentially
from bayescope.types import Labels
from benchmarks.store import Store

SETTINGS = EvidenceConfig()
HELD_OUT, TEST = 400, 400
SIGMAS = log_spaced(SETTINGS.sigma_min, SETTINGS.sigma_max, SETTINGS.levels).double().numpy()


def gaussian_classes(n_classes: int) -> GaussianMixtureDenoiser:
    """Each class two Gaussians of 64 pixels with spectra and means of their own."""
    generator = torch.Generator().manual_seed(0)
    shape = (n_classes, 2, 1, 8, 8)
    means = 0.15 * torch.randn(shape, generator=generator, dtype=torch.float64)
    variances = 0.05 + 0.3 * torch.rand(shape, generator=generator, dtype=torch.float64)
    return GaussianMixtureDenoiser(
        [[Component(m, v) for m, v in zip(*parts, strict=True)] for parts in zip(means, variances, strict=True)]
    )


def phantom_classes() -> GaussianMixtureDenoiser:
    """Eight kinds of lesion at nine places in texture of 12x12 pixels."""
    base = Phantom(size=12, reach=1)
    rows = np.fft.ifft2(base.power_spectrum).real
    places = [(dy, dx) for dy in range(12) for dx in range(12)]
    covariance = np.array([[rows[(a - c) % 12, (b - d) % 12] for c, d in places] for a, b in places])
    masses = [Phantom(size=12, reach=1, mass_radius=radius, mass_contrast=2.4).lesions[1] for radius in (2.0, 3.0, 4.0, 5.0)]
    clusters = [Phantom(size=12, reach=1, speck_width=width, speck_contrast=3.0).lesions[2] for width in (0.5, 0.7, 0.9)]
    kinds = [base.lesions[0][:1], *masses, *clusters]
    shared = torch.from_numpy((covariance + covariance.T) / 2)
    return GaussianMixtureDenoiser([[Component(torch.from_numpy(m)[None], shared) for m in kind] for kind in kinds])


def draw(oracle: GaussianMixtureDenoiser, n: int, seed: int) -> tuple[torch.Tensor, Labels]:
    """Images of equally frequent classes, by denoising noise of endless level: exact samples of the mixture's components."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(oracle.n_classes, (n,), generator=generator)
    component = torch.multinomial(oracle.log_weight[labels].exp(), 1, generator=generator)[:, 0]
    white = torch.randn(n, oracle.mean.shape[1], generator=generator, dtype=torch.float64)
    spread = white * oracle.variance[component].sqrt()
    if oracle.basis is not None:
        spread = torch.stack([oracle.basis[c] @ row for c, row in zip(component, spread, strict=True)])
    return (oracle.mean[component] + spread).unflatten(1, oracle.image_shape), labels.numpy()


def measure(oracle: GaussianMixtureDenoiser) -> dict[str, float]:
    """Passes per image and how the decisions compare with the full evaluation's."""
    n_classes = oracle.n_classes
    noise = draw_noise(SETTINGS.levels, SETTINGS.noises, oracle.image_shape, 1).double()
    held_out, labels = draw(oracle, HELD_OUT, 2)
    level_weights = LevelWeights(level_spacing(SIGMAS), np.zeros(n_classes))
    statistics = fit_level_statistics(
        level_evidence(oracle, held_out, SIGMAS, noise), gaussian_evidence(oracle, held_out, SIGMAS), labels, level_weights
    )
    assert statistics is not None
    x, truth = draw(oracle, TEST, 3)
    winner = level_weights.evidence(level_evidence(oracle, x, SIGMAS, noise)).argmax(axis=1)
    plan = Plan(statistics, level_weights.weights)
    found = score_sequentially(oracle, x, SIGMAS, noise, plan, np.zeros(n_classes), SETTINGS.disagreement_rate)
    decided = found.values.argmax(axis=1)
    return {
        "classes": n_classes,
        "passes": float(found.passes.mean()),
        "passes_in_full": n_classes * SETTINGS.levels * SETTINGS.noises,
        "disagreement": float((decided != winner).mean()),
        "accuracy": float((decided == truth).mean()),
        "accuracy_in_full": float((winner == truth).mean()),
    }


def main() -> None:
    records = [{"problem": "Gaussian oracle", **measure(gaussian_classes(k))} for k in (2, 5, 10, 20)]
    records.append({"problem": "phantom, exact denoiser", **measure(phantom_classes())})
    Store("classes").put("all", records)
    print(json.dumps(records, indent=1))
