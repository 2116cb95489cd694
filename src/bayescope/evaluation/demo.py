"""Data and settings of the demo: a phantom with a known likelihood, and its ideal observer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import log_softmax

from bayescope.config import Config, parse_config
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.data.phantom import CLASS_NAMES, Phantom
from bayescope.runs.folder import read_manifest
from bayescope.types import Floats

SOURCE = "phantom"
DEMO_IMAGES = 60_000
_VALIDATION, _TEST = 600, 1000
_DEMO_STEPS = 1400
_DEMO_LEVELS = {"sigma_min": 0.12, "sigma_max": 0.5}
DETECTION = {"noise_mean": -1.2, "noise_std": 0.5, "evidence_weight": 1.0}
"""Training settings for the phantom's lesions, whose classes a single draw tells apart best at σ between 0.15 and 0.5."""


def demo_config(seed: int = 0, steps: int | None = None) -> Config:
    """A small network, trained in under five minutes on two cores."""
    training = DETECTION | {"steps": steps or _DEMO_STEPS, "batch_size": 64, "learning_rate": 4e-3}
    config = phantom_config(seed, training, levels=5, noises=2)
    return config.model_copy(update={"evidence": config.evidence.model_copy(update=_DEMO_LEVELS)})


def phantom_config(seed: int, training: dict[str, Any], levels: int, noises: int) -> Config:
    """A small network for the phantom, with further settings of ``training``."""
    return parse_config(
        {
            "seed": seed,
            "net": {"widths": [16, 32, 48], "csp_filters": 12},
            "training": {
                "learning_rate": 2e-3,
                "noise_mean": -1.2,
                "noise_std": 1.0,
                "evidence_weight": 0.1,
                "label_dropout": 0.05,
                "augmentation": "none",
            }
            | training,
            "evidence": {"levels": levels, "noises": noises, "sigma_min": 0.1, "sigma_max": 1.5, "disagreement_rate": 0.0},
        }
    )


def demo_dataset(seed: int) -> Dataset:
    """The images of ``bayescope demo``, the same each time."""
    return phantom_dataset(Phantom(), DEMO_IMAGES, seed)


def redraw(run: Path, seed: int) -> Dataset | None:
    """The images that a run of ``bayescope demo`` with this seed was trained on, which are in no file; None for another run."""
    manifest = read_manifest(run)
    if "path" in manifest or manifest.get("source") != SOURCE:
        return None
    drawn = demo_dataset(seed)
    return drawn if drawn.fingerprint == manifest.get("fingerprint") else None


def phantom_dataset(phantom: Phantom, n_train: int, seed: int) -> Dataset:
    """Fresh phantom images, three splits from independent draws."""
    return Dataset(
        _draw(phantom, n_train, seed, 0),
        _draw(phantom, _VALIDATION, seed, 1),
        _draw(phantom, _TEST, seed, 2),
        source=SOURCE,
        notes=(f"{n_train} training, {_VALIDATION} validation and {_TEST} test images drawn with seed {seed}",),
    )


@dataclass(frozen=True)
class IdealObserver:
    """Bayes' rule on the phantom's exact likelihoods: the best any classifier can do on these images."""

    phantom: Phantom

    def posterior(self, split: ImageSet) -> Floats:
        """With equal priors: ``(n, classes)``."""
        exact: Floats = np.exp(log_softmax(self.phantom.log_likelihood(split.pixels[:, 0]), axis=1))
        return exact


def ideal_observer(images: ImageSet) -> dict[str, Floats]:
    """Posterior of the ideal observer of the demo's images, by its name in a report."""
    return {"ideal observer": IdealObserver(Phantom()).posterior(images)}


def attained(ours: float, ideal: float, chance: float) -> float:
    """The share of the ideal observer's gain over chance that is reached."""
    return (ours - chance) / (ideal - chance)


def _draw(phantom: Phantom, n: int, seed: int, part: int) -> ImageSet:
    draw_seed = int(np.random.SeedSequence((seed, part)).generate_state(1)[0])
    images, labels = phantom.sample(n, draw_seed)
    return ImageSet(images[:, None], labels, CLASS_NAMES, tuple(f"phantom {part}/{i}" for i in range(n)))
