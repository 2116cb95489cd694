"""A model at another site: adapted to local labelled images, and class frequencies of unlabelled ones, on PneumoniaMNIST.

    python -m benchmarks site --data FOLDER
    python -m benchmarks site --data FOLDER --seeds 0 --results TRIED

PneumoniaMNIST's test images are unlike its training and validation images: on them, calibration fitted on validation images is
off.  They are halved at random, ten times, stratified by class: adapted to one half, or to 40, 80 or 160 images of it, and
measured on the other; to a whole half also with isotonic calibration in place of affine.  Labels drawn with the adapted
model's own probabilities show what calibration loss so few images have at best.  The ResNet-18's temperature is fitted on the
same images; before, on the validation images.  The networks are those of benchmarks/fast/pneumoniamnist.toml and a ResNet-18
given as much processor time, kept in runs/site.

Class frequencies: 300 images are drawn with replacement from the half that was not adapted to, 1, 10 and 50 % of them with
pneumonia, ten times for each halving, and their share is estimated by the model before and after it was adapted; and 300
validation images by the model as it is, ten times as often.  The interval is that of ``bayescope prevalence``.  Rows are kept
in benchmarks/results/site.jsonl; remove a line to measure it again.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import expit
from sklearn.model_selection import train_test_split

from bayescope.config import read_config
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.data.load import load_dataset
from bayescope.evaluation.compare.training import TrainedNetwork, load_network, save_network, train_network
from bayescope.evaluation.prevalence import class_frequencies
from bayescope.evidence.denoising import LevelEvidence
from bayescope.fitting.adapt import adapt_to
from bayescope.inference.model import LikelihoodModel
from bayescope.metrics.bootstrap import bootstrap
from bayescope.metrics.calibration import cllr, min_cllr
from bayescope.metrics.delong import one_vs_rest_auc
from bayescope.runs.model_file import load_model
from bayescope.types import Floats, Labels
from benchmarks.medmnist import FILES
from benchmarks.rows import parse, parser
from benchmarks.sizes import network_recipe, train_bayescope
from benchmarks.store import Store
from benchmarks.temperature import fit_temperature

HERE = Path(__file__).parent
NAME, RECIPE, MODELS = "pneumoniamnist", HERE / "fast" / "pneumoniamnist.toml", HERE.parent / "runs" / "site"
HALVES, FEW = 10, (40, 80, 160)
SHARES, DRAWN, DRAWS = (0.01, 0.1, 0.5), 300, 10


def networks(data: Dataset, seed: int, folder: Path) -> tuple[LikelihoodModel, TrainedNetwork]:
    """Kept ones, or trained now."""
    config = read_config(RECIPE).model_copy(update={"seed": seed})
    ours, theirs = folder / f"{NAME}-bayescope-{seed}", folder / f"{NAME}-resnet18-{seed}"
    if not ours.exists():
        train_bayescope(data, config, ours, ours.with_suffix(".json"), None)
    if not theirs.exists():
        seconds = json.loads(ours.with_suffix(".json").read_text())["processor"]
        save_network(theirs, train_network("resnet18", data, seed, network_recipe(data, config, seed, seconds)))
    return load_model(ours), load_network(theirs)


def halves(labels: Labels, k: int) -> tuple[Labels, Labels]:
    """Images to adapt to and images to measure on."""
    adapting, asked = train_test_split(np.arange(len(labels)), test_size=0.5, stratify=labels, random_state=k)
    return np.sort(adapting), np.sort(asked)


def few_of(chosen: Labels, labels: Labels, n: int, k: int) -> Labels:
    return np.sort(train_test_split(chosen, train_size=n, stratify=labels[chosen], random_state=k)[0])


def scores(ratio: Floats, labels: Labels) -> dict[str, float]:
    """Of the log-likelihood ratios of the last class."""
    positive = labels == labels.max()
    cost = cllr(ratio, positive)
    return {
        "Cllr": round(cost, 4),
        "calibration loss": round(cost - min_cllr(ratio, positive), 4),
        "AUC": round(one_vs_rest_auc(ratio, positive), 4),
        "accuracy": round(float(((ratio > 0) == positive).mean()), 4),
    }


def scores_if_right(model: LikelihoodModel, levels: LevelEvidence, seed: int) -> dict[str, float]:
    """Were labels drawn with the probabilities that the model gives: what calibration loss so few images show at best."""
    ratio = ratio_of(model, levels)
    return scores(ratio, np.random.default_rng(seed).binomial(1, expit(ratio)))


def with_calibration(model: LikelihoodModel, kind: str) -> LikelihoodModel:
    evidence = model.config.evidence.model_copy(update={"calibration": kind})
    return replace(model, config=model.config.model_copy(update={"evidence": evidence}))


def ratio_of(model: LikelihoodModel, levels: LevelEvidence) -> Floats:
    return model.predict_from_levels(levels).log_likelihood_ratio[:, -1]


def measure(data: Dataset, seed: int, folder: Path) -> dict[str, Any]:
    model, network = networks(data, seed, folder)
    levels, val = model.level_evidence(data.test.pixels), model.level_evidence(data.val.pixels)
    logits, of_val = network.logits(data.test.pixels), network.logits(data.val.pixels)
    labels = data.test.labels
    temperature = fit_temperature(of_val, data.val.labels)
    rows: dict[str, list[dict[str, float]]] = {}
    frequencies: dict[str, list[list[float]]] = {}
    for k in range(HALVES):
        half, asked = halves(labels, k)
        before, theirs = ratio_of(model, levels.subset(asked)), logits[asked, -1] - logits[asked, 0]
        _add(rows, "before", scores(before, labels[asked]))
        _add(rows, "ResNet-18 before", scores(theirs / temperature, labels[asked]))
        for n in (*FEW, len(half)):
            chosen = half if n == len(half) else few_of(half, labels, n, k)
            adapted = adapt_to(model, levels.subset(chosen), data.test.subset(chosen)).model
            _add(rows, f"adapted to {n}", scores(ratio_of(adapted, levels.subset(asked)), labels[asked]))
            if n == len(half):
                _add(rows, f"adapted to {n}, were it right", scores_if_right(adapted, levels.subset(asked), seed=k))
                isotonic = adapt_to(with_calibration(model, "isotonic"), levels.subset(chosen), data.test.subset(chosen)).model
                _add(
                    rows,
                    f"adapted to {n}, isotonic calibration",
                    scores(ratio_of(isotonic, levels.subset(asked)), labels[asked]),
                )
            fitted = fit_temperature(logits[chosen], labels[chosen])
            _add(rows, f"ResNet-18, temperature of {n}", scores(theirs / fitted, labels[asked]))
        for name, one in (("before", model), ("adapted", adapted)):
            _estimate(frequencies, name, ratio_of(one, levels.subset(asked)), labels[asked], seed=k)
    for k in range(HALVES):
        _estimate(frequencies, "validation images", ratio_of(model, val), data.val.labels, seed=k)
    return {"scores": rows, "frequencies": frequencies}


def _add(rows: dict[str, list[dict[str, float]]], name: str, row: dict[str, float]) -> None:
    rows.setdefault(name, []).append(row)


def _estimate(found: dict[str, list[list[float]]], name: str, ratio: Floats, labels: Labels, seed: int) -> None:
    """Add [estimate, low, high] of each draw and share."""
    rng = np.random.default_rng(seed)
    positive = labels == labels.max()
    for share in SHARES:
        n_positive = round(share * DRAWN)
        for _ in range(DRAWS):
            drawn = np.r_[
                rng.choice(np.flatnonzero(positive), n_positive), rng.choice(np.flatnonzero(~positive), DRAWN - n_positive)
            ]
            log_likelihood = np.stack([np.zeros(DRAWN), ratio[drawn]], axis=1)
            estimate = bootstrap(_frequency_of(log_likelihood), DRAWN, n_bootstrap=200)[0]
            ends = [round(end, 4) for end in (estimate.value, estimate.low, estimate.high)]
            found.setdefault(f"{name}, {share:g}", []).append(ends)


def _frequency_of(log_likelihood: Floats) -> Callable[[Labels], Floats]:
    return lambda weights: class_frequencies(log_likelihood, weights)[:, 1:]


def main() -> None:
    options = parser(__doc__, sets=(NAME,))
    options.set_defaults(models=MODELS)
    args = parse(options)
    torch.set_num_threads(1)
    data = load_dataset(args.data / FILES[NAME])
    store = Store("site", args.results)
    for seed in args.seeds:
        store.keep(f"{NAME}-{seed}", lambda s=seed: measure(_few(data, args.images), s, args.models))


def _few(data: Dataset, images: int | None) -> Dataset:
    """To try out: the first validation and test images alone."""
    if images is None:
        return data

    def part(found: ImageSet) -> ImageSet:
        return found.subset(np.arange(min(images, len(found))))

    return Dataset(data.train, part(data.val), part(data.test), data.source)
