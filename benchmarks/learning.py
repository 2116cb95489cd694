"""How fast networks learn, and from how many labels: AUC against steps and processor time, next to two networks.

    python -m benchmarks learning --data FOLDER                     # everything that is not measured yet
    python -m benchmarks learning --data FOLDER --only pneumoniamnist --ways muon resnet18 --shares 100 --seeds 0
    python -m benchmarks learning --data FOLDER --chest kermany_cxr/table.csv --only chest --shares 1 5    # at 64 px

Each (data set, share of labels, way of training, seed) is trained once and kept as a row in
benchmarks/results/learning.jsonl.  A share keeps that percentage of each class's training labels; the other training images
have none, and only the ways that say so see them.  Level weights are fitted to the same percentage of validation labels.  The
networks are stopped by all validation labels, whatever the share, which is in their favour.

Images are scored at 10 levels and 2 noises.  Ways are chosen by the AUC of the plain bound, which no validation label has
changed, on validation images as they are and moved and stretched at random (``val_shifted``); the test split is read once,
after the last step, and not at all with --without-test.  Processor time is that of training alone, of one thread.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bayescope.config import Config, parse_config
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.data.load import load_dataset
from bayescope.data.pixel_scale import PixelScale
from bayescope.diffusion.denoiser import Denoiser
from bayescope.diffusion.device import open_fabric
from bayescope.evaluation.compare.training import Recipe, TrainedNetwork, train_network
from bayescope.evidence.denoising import LevelEvidence, level_evidence
from bayescope.evidence.level_weights import level_spacing
from bayescope.evidence.level_weights_fit import fit_level_weights
from bayescope.evidence.noise import draw_noise
from bayescope.metrics.classification import accuracy
from bayescope.metrics.delong import auc
from bayescope.training.augmentation import LIGHT, Augment, Compose, Intensity
from bayescope.training.loop import Progress, start, train
from bayescope.training.sampler import seeded
from bayescope.types import Floats, Labels
from benchmarks.medmnist import FILES
from benchmarks.rows import parse, parser
from benchmarks.store import Store

SIGMAS = np.geomspace(0.05, 5.0, 10)
NOISES = 2
FEWEST_VALIDATION_LABELS = 20
SHARES = (1, 2, 5, 10, 25, 50, 100)
CHECKS = 2
SHIFT = Compose(LIGHT.times(2), Intensity(contrast=0.2, brightness=0.1))

MUON = {"optimizer": "muon"}
NARROW = {"noise_mean": -1.6, "noise_std": 1.0}
OWN = {f"evidence_{key}": value for key, value in NARROW.items()}
SHARED = {"batch_size": 64, "evidence_weight": 0.15}


@dataclass(frozen=True)
class Way:
    """Settings of [training] and [net]; whether training images without labels are seen; a name for the table."""

    title: str
    training: dict[str, Any]
    net: dict[str, Any] = field(default_factory=dict)
    unlabelled: bool = False


def _steps(steps: int, generative: int = 0) -> dict[str, Any]:
    return {"steps": steps, "generative_steps": generative}


_CHEST = SHARED | {"augmentation": "light", "intensity": 0.2}
_CHEST_STRONG = SHARED | {"augmentation": "strong", "intensity": 0.2}
_BREAST = SHARED | {"augmentation": "strong", "evidence_from": 0.25}
_DROPOUT = {"dropout": 0.3}
_FOLD = {"fold": 4}
_CHEST_64 = _CHEST_STRONG | MUON | {"muon_learning_rate": 0.008, "noise_mean": -0.8, "noise_std": 1.0}

WAYS: dict[str, dict[str, Way]] = {
    "pneumoniamnist": {
        "adamw": Way("AdamW, log σ ~ N(-0.8, 1.4)", _CHEST | _steps(300)),
        "muon": Way("Muon, log σ ~ N(-0.8, 1.4)", _CHEST | MUON | _steps(300)),
        "muon-narrow": Way("Muon, log σ ~ N(-1.6, 1.0)", _CHEST | MUON | NARROW | _steps(300)),
        "muon-strong": Way("Muon, N(-1.6, 1.0), strong augmentation", _CHEST_STRONG | MUON | NARROW | _steps(300)),
        "muon-half": Way(
            "Muon, N(-1.6, 1.0), strong augmentation, the first 150 steps p(x)",
            _CHEST_STRONG | MUON | NARROW | _steps(300, generative=150),
            unlabelled=True,
        ),
        "muon-generative": Way(
            "Muon, N(-1.6, 1.0), strong augmentation, the first 300 steps p(x)",
            _CHEST_STRONG | MUON | NARROW | _steps(550, generative=300),
            unlabelled=True,
        ),
        "muon-own": Way(
            "Muon, N(-0.8, 1.4), for the evidence N(-1.6, 1.0), strong augmentation, the first 300 steps p(x)",
            _CHEST_STRONG | MUON | OWN | _steps(550, generative=300),
            unlabelled=True,
        ),
    },
    "breastmnist": {
        "adamw": Way("AdamW", _BREAST | _steps(400), _DROPOUT),
        "muon": Way("Muon", _BREAST | MUON | _steps(400), _DROPOUT),
        "muon-generative": Way(
            "Muon, the first 100 steps p(x)", _BREAST | MUON | _steps(400, generative=100) | {"evidence_from": 0.0}, _DROPOUT
        ),
    },
    "chest": {
        "muon-strong": Way("Muon", _CHEST_64 | _steps(300), _FOLD),
        "muon-generative": Way(
            "Muon, the first 300 steps p(x)", _CHEST_64 | _steps(550, generative=300), _FOLD, unlabelled=True
        ),
    },
}
NETWORK_STEPS = {"pneumoniamnist": 300, "breastmnist": 400, "chest": 300}
CHEST_PIXELS = 64
NETWORKS = ("resnet18", "efficientnet-b0")
PSEUDO = "resnet18-pseudo"
SURE = 0.95


def with_share(data: Dataset, percent: int, seed: int, unlabelled: bool) -> tuple[Dataset, Labels]:
    """``data`` with that share of each class's training labels, and which validation images have labels."""
    if percent == 100:
        return data, np.arange(len(data.val))
    rng = np.random.default_rng([seed, percent])
    kept = _share_of_each_class(data.train.labels, percent, 2, rng)
    others = data.train.subset(np.setdiff1d(np.arange(len(data.train)), kept))
    hidden = replace(others, labels=np.full(len(others), -1))
    labelled = replace(data, train=data.train.subset(kept), unlabelled=hidden if unlabelled else None)
    return labelled, _share_of_each_class(data.val.labels, percent, FEWEST_VALIDATION_LABELS // data.n_classes, rng)


def _share_of_each_class(labels: Labels, percent: int, fewest: int, rng: np.random.Generator) -> Labels:
    members = [rng.permutation(np.flatnonzero(labels == k)) for k in np.unique(labels)]
    return np.sort(np.concatenate([m[: max(fewest, round(percent / 100 * len(m)))] for m in members]))


def score(denoiser: Denoiser, images: ImageSet, scale: PixelScale, change: Augment | None = None) -> LevelEvidence:
    noise = draw_noise(len(SIGMAS), NOISES, denoiser.image_shape, 0)
    x = torch.from_numpy(scale.to_model(images.pixels))
    return level_evidence(denoiser, change(x, seeded(0)) if change else x, SIGMAS, noise)


def scores(evidence: Floats, labels: Labels) -> dict[str, float]:
    posterior = np.exp(evidence - evidence.max(axis=1, keepdims=True))
    posterior /= posterior.sum(axis=1, keepdims=True)
    return {"auc": round(auc(posterior, labels), 5), "accuracy": round(accuracy(posterior, labels), 5)}


def bound(levels: LevelEvidence) -> Floats:
    return levels.mean @ level_spacing(SIGMAS)


def run_bayescope(data: Dataset, val_labelled: Labels, way: Way, seed: int, parts: Sequence[str]) -> dict[str, Any]:
    steps = way.training["steps"]
    config = parse_config({"seed": seed, "net": way.net, "training": way.training | {"validate_every": steps}})
    fabric, scale = open_fabric(config), PixelScale.of(data.train.pixels)
    checks = _checks(config)
    curve: list[dict[str, float]] = []
    spent, began, since = 0.0, time.process_time(), time.perf_counter()

    def watch(progress: Progress) -> None:
        nonlocal spent, began
        step = progress.state.step
        if step % 50 == 0:
            losses = progress.losses
            print(f"  step {step}: {losses.denoising:.4f} {losses.evidence:.4f}", flush=True)
        if step in checks and step < steps:
            spent += time.process_time() - began
            reached = scores(bound(score(progress.state.ema, data.val, scale)), data.val.labels)["auc"]
            curve.append({"step": step, "seconds": round(spent, 1), "val_auc": reached})
            print("  ", curve[-1], flush=True)
            began = time.process_time()

    state = start(config, data.train, scale, fabric)
    train(state, config, data.train, data.val, scale, fabric, watch, data.unlabelled)
    spent += time.process_time() - began
    levels = {name: score(state.ema, getattr(data, name), scale) for name in parts}
    shifted = bound(score(state.ema, data.val, scale, SHIFT))
    level_weights = fit_level_weights(levels["val"].subset(val_labelled), data.val.labels[val_labelled])
    row: dict[str, Any] = {"labels": len(data.train), "steps": steps, "seconds": round(spent, 1)}
    row["elapsed"] = round(time.perf_counter() - since, 1)
    for name, level in levels.items():
        labels = getattr(data, name).labels
        row[name] = scores(bound(level), labels)
        row[f"{name}_fitted"] = scores(level_weights.evidence(level), labels)
    row["val_shifted"] = scores(shifted, data.val.labels)
    curve.append({"step": steps, "seconds": row["seconds"], "val_auc": row["val"]["auc"]})
    return row | {"curve": curve}


def _checks(config: Config) -> set[int]:
    """Steps after which the validation AUC is measured: evenly over those that teach classes."""
    first, last = config.training.generative_steps, config.training.steps
    return {first + (last - first) * part // CHECKS for part in range(1, CHECKS + 1)}


def run_network(data: Dataset, network_name: str, steps: int, seed: int, parts: Sequence[str]) -> dict[str, Any]:
    """With images without labels: trained twice, the second time also on those it was sure of, as it took them to be."""
    recipe = Recipe(steps, checks=20, patience=20)
    curve: list[dict[str, float]] = []
    began = time.process_time()

    def checked(step: int, reached: float) -> None:
        curve.append({"step": step, "seconds": round(time.process_time() - began, 1), "val_auc": round(reached, 5)})

    network: TrainedNetwork = train_network(network_name, data, seed, recipe, checked=checked)
    row: dict[str, Any] = {"labels": len(data.train)}
    if data.unlabelled is not None:
        more = with_pseudo_labels(data, network.predict(data.unlabelled.pixels))
        row["pseudo_labels"] = len(more.train) - len(data.train)
        curve.clear()
        network = train_network(network_name, more, seed, replace(recipe, augmentation="strong"), checked=checked)
    row |= {"steps": network.steps, "seconds": round(time.process_time() - began, 1)}
    for part in parts:
        split: ImageSet = getattr(data, part)
        posterior = network.predict(split.pixels)
        row[part] = {"auc": round(auc(posterior, split.labels), 5), "accuracy": round(accuracy(posterior, split.labels), 5)}
    return row | {"curve": curve}


def with_pseudo_labels(data: Dataset, posterior: Floats) -> Dataset:
    """``data`` with those of its images without labels of which the posterior is sure, labelled as it has them."""
    assert data.unlabelled is not None
    sure = np.flatnonzero(posterior.max(axis=1) >= SURE)
    added, train_set = data.unlabelled.subset(sure), data.train
    pixels = np.concatenate([train_set.pixels, added.pixels])
    labels = np.concatenate([train_set.labels, posterior[sure].argmax(axis=1)])
    joined = ImageSet(pixels, labels, train_set.class_names, (*train_set.names, *added.names))
    return replace(data, train=joined, unlabelled=None)


def measure(data: Dataset, name: str, percent: int, way: str, seed: int, parts: Sequence[str]) -> Callable[[], dict[str, Any]]:
    """What trains and measures one row."""

    def run() -> dict[str, Any]:
        if way in (*NETWORKS, PSEUDO):
            network_name = NETWORKS[0] if way == PSEUDO else way
            return run_network(
                with_share(data, percent, seed, way == PSEUDO)[0], network_name, NETWORK_STEPS[name], seed, parts
            )
        chosen = WAYS[name][way]
        labelled, val_labelled = with_share(data, percent, seed, chosen.unlabelled)
        return run_bayescope(labelled, val_labelled, chosen, seed, parts)

    return run


def main() -> None:
    options: argparse.ArgumentParser = parser(__doc__, sets=tuple(WAYS))
    options.add_argument("--chest", type=Path, help="table of the chest X-rays that PneumoniaMNIST was made of, read at 64 px")
    ways = sorted({way for chosen in WAYS.values() for way in chosen} | {*NETWORKS, PSEUDO})
    options.add_argument("--ways", choices=ways, nargs="+", default=ways)
    options.add_argument("--shares", type=int, nargs="+", default=[100], help="percent of the training labels")
    options.add_argument("--without-test", action="store_true", help="to choose; keep such rows elsewhere by --results")
    args = parse(options)
    parts = ("val",) if args.without_test else ("val", "test")
    torch.set_num_threads(1)
    store = Store("learning", args.results)
    for name in [args.only] if args.only else [*FILES, *(["chest"] if args.chest else [])]:
        data = load_dataset(args.chest, size=CHEST_PIXELS) if name == "chest" else load_dataset(args.data / FILES[name])
        for seed in args.seeds:
            for percent in args.shares:
                for way in [way for way in args.ways if way in (*WAYS[name], *NETWORKS) or (way == PSEUDO and percent < 100)]:
                    row = f"{name}-{percent}-{way}-{seed}"
                    store.keep(row, measure(data, name, percent, way, seed, parts))
                    print(store.rows()[row], flush=True)
