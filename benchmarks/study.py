"""One ratio from several images of a patient: learned pooling beside the product, the mean and the ideal observer.

    python -m benchmarks study                                          # the phantom of paired views
    python -m benchmarks study --seeds 0 --results TRIED
    python -m benchmarks study --only mias --data FOLDER --models RUNS  # patients of mini-MIAS, from runs of `benchmarks mias`

The phantom's two views show the same lesion, faint or not, in correlated textures; its joint likelihood is known.  ``exact``:
the views' own exact likelihoods are added up, by a correlation learned on 20 to 600 pairs, and measured on 4000 others.
``trained``: a small network is trained on 12,000 single views, the correlation is learned on the 200 pairs of its validation
images, and 600 pairs are measured.  On 100 of these, error bars of 90 % are compared with ratios from four times the noises.

On mini-MIAS a patient is abnormal if one of the two films is; each fold is pooled by what was learned on its validation
patients.  Rows are kept in benchmarks/results/study.jsonl; remove a line to measure it again.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import log_softmax

from bayescope.calibration.base import no_error
from bayescope.calibration.pooling import GroupPooling
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.data.paired_phantom import PairedPhantom
from bayescope.data.phantom import CLASS_NAMES
from bayescope.evaluation.demo import phantom_config
from bayescope.evidence.level_weights import log_likelihood_ratio
from bayescope.fitting.fit import fit
from bayescope.fitting.pooling import fit_poolings
from bayescope.fitting.post_hoc import out_of_fold_posterior
from bayescope.inference.combine import combine
from bayescope.inference.model import LikelihoodModel
from bayescope.metrics.calibration import cllr, min_cllr
from bayescope.metrics.delong import auc
from bayescope.runs.model_file import load_model
from bayescope.types import Floats, Labels
from benchmarks.mias import FOLDS, MODELS, prepared
from benchmarks.store import Store

CORRELATIONS, HELD_OUT, ASKED = (0.0, 0.3, 0.6, 0.9), (20, 60, 200, 600), 4000
TRAINED = PairedPhantom(size=16, correlation=0.6)
TRAIN, VALIDATION, TEST, REPEATED = 6000, 200, 600, 100
EQUAL, PRODUCT, MEAN = np.full(3, 1 / 3), 0.0, 1.0
NORMAL_90 = 1.645


def assumed(correlation: float, n_classes: int = 3, by: str = "study", positive: str | None = None) -> GroupPooling:
    """A pooling that was not learned."""
    return GroupPooling(by, positive, correlation, (0.0,) * n_classes, (0,) * n_classes, True)


def scores(evidence: Floats, labels: Labels) -> dict[str, float]:
    """Of evidence ``(n, classes)`` at equal priors; costs in bits, the mean over classes against the rest."""
    ratio, _ = log_likelihood_ratio(evidence, np.full(evidence.shape[1], 1 / evidence.shape[1]), no_error)
    posterior = np.exp(log_softmax(evidence, axis=1))
    costs = [(cllr(ratio[:, k], labels == k), min_cllr(ratio[:, k], labels == k)) for k in range(evidence.shape[1])]
    cost, least = np.mean(costs, axis=0)
    found = {"AUC": auc(posterior, labels), "Cllr": cost, "calibration loss": cost - least}
    return {name: round(float(value), 4) for name, value in found.items()}


def pooled(pooling: GroupPooling, of_pairs: Floats) -> Floats:
    """Evidence of pairs from that of their views ``(n, 2, classes)``."""
    return np.stack([pooling.shares(of_views).sum(axis=0) for of_views in of_pairs])


def exact(correlation: float, seed: int) -> dict[str, Any]:
    """The exact likelihoods of views, added up."""
    phantom = PairedPhantom(size=16, correlation=correlation)
    (learning, truth), (asked, labels) = (phantom.sample_pairs(n, 2 * seed + i) for i, n in enumerate((max(HELD_OUT), ASKED)))
    of_learning, of_asked = (np.stack([phantom.log_likelihood(x[:, v]) for v in range(2)], axis=1) for x in (learning, asked))
    found: dict[str, Any] = {
        "one view": scores(of_asked[:, 0], labels),
        "product": scores(of_asked.sum(axis=1), labels),
        "mean": scores(of_asked.mean(axis=1), labels),
        "ideal observer": scores(phantom.joint_log_likelihood(asked), labels),
    }
    for n in HELD_OUT:
        members = [np.array([2 * i, 2 * i + 1]) for i in range(n)]
        pooling = GroupPooling.fit(of_learning[:n].reshape(-1, 3), members, truth[:n], "study")
        found[f"learned on {n}"] = scores(pooled(pooling, of_asked), labels) | {"correlation": round(pooling.correlation, 3)}
    return found


def views(n: int, seed: int) -> ImageSet:
    """Single views of ``n`` pairs."""
    pairs, labels = TRAINED.sample_pairs(n, seed)
    keys = tuple(f"{i // 2}" for i in range(2 * n))
    pixels, names = pairs.reshape(-1, 1, TRAINED.size, TRAINED.size), tuple(f"{i}" for i in range(2 * n))
    return ImageSet(pixels, np.repeat(labels, 2), CLASS_NAMES, names, keys, studies=keys)


def trained(seed: int, steps: int) -> dict[str, Any]:
    """A network on single views, pooled by what it learned on the pairs of its validation images."""
    parts = [views(n, 10 * seed + i) for i, n in enumerate((TRAIN, VALIDATION, TEST))]
    config = phantom_config(seed, {"steps": steps, "batch_size": 32}, levels=5, noises=4)
    model = fit(Dataset(*parts, source="paired phantom"), config)
    test = parts[2]
    predictions, labels = model.classify(test.pixels, disagreement_rate=0.0), test.labels[::2]
    assert test.studies is not None
    learned = combine(model, predictions, test.studies, "study")
    pairs = test.pixels[:, 0].reshape(-1, 2, TRAINED.size, TRAINED.size)
    found: dict[str, Any] = {
        "one view": scores(predictions.log_posterior[::2], labels),
        "ideal observer": scores(TRAINED.joint_log_likelihood(pairs), labels),
        "learned": scores(learned.log_posterior, labels) | {"correlation": round(learned.pooling.correlation, 3)},
    }
    for name, correlation in (("product", PRODUCT), ("mean", MEAN)):
        other = combine(model, predictions, test.studies, "study", pooling=assumed(correlation))
        found[name] = scores(other.log_posterior, labels)
    return found | {"coverage": coverage(model, test)}


def coverage(model: LikelihoodModel, test: ImageSet) -> dict[str, float]:
    """How often error bars of 90 %, of images and of pairs, contain the ratio from many more noises."""
    evidence = model.config.evidence.model_copy(update={"noises": 4 * model.config.evidence.noises})
    again = replace(model, config=model.config.model_copy(update={"evidence": evidence, "seed": model.config.seed + 1}))
    asked = test.subset(np.arange(2 * REPEATED))
    assert asked.studies is not None
    few, many = (one.classify(asked.pixels, disagreement_rate=0.0) for one in (model, again))
    of_pairs = [combine(model, one, asked.studies, "study") for one in (few, many)]
    found = {}
    for name, (less, more) in {"images": (few, many), "pairs": of_pairs}.items():
        error = np.sqrt(less.standard_error**2 + more.standard_error**2)
        off = np.abs(less.log_likelihood_ratio - more.log_likelihood_ratio) / error
        found[name] = round(float((off <= NORMAL_90).mean()), 4)
    return found


def mias(source: Path, models: Path, fold: int) -> dict[str, Any]:
    """Ratios of the test patients of a fold: abnormal if a film is."""
    data, _ = prepared(source, models, "films", fold)
    model = load_model(models / f"films-bayescope-{fold}")
    posterior = out_of_fold_posterior(model, [model.level_evidence(data.val.pixels)], data.val)
    learned = next(one for one in fit_poolings(posterior, model.class_prior, data.val) if one.positive == "abnormal")
    predictions = model.classify(data.test.pixels, disagreement_rate=0.0)
    assert data.test.groups is not None
    ways = {
        "learned": learned,
        "product": assumed(PRODUCT, 2, "patient", "abnormal"),
        "mean": assumed(MEAN, 2, "patient", "abnormal"),
    }
    row: dict[str, Any] = {"correlation": learned.correlation, "offset": learned.offset, "held out": learned.groups}
    for name, pooling in ways.items():
        found = combine(model, predictions, data.test.groups, "patient", "abnormal", pooling)
        row[name] = found.log_likelihood_ratio[:, 1].round(4).tolist()
        row["label"] = found.labels(data.test.labels, data.class_names).tolist()
        row["patient"] = list(found.names)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("exact", "trained", "mias"))
    parser.add_argument("--seeds", type=int, nargs="+", default=range(5))
    parser.add_argument("--steps", type=int, default=400, help="training steps of the network")
    parser.add_argument("--data", type=Path, help="folder that holds mias")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder of caches and runs (default: runs/mias)")
    parser.add_argument("--folds", type=int, nargs="+", default=range(FOLDS))
    parser.add_argument("--results", type=Path, help="where rows are kept (default: benchmarks/results)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    store = Store("study", args.results)
    if args.only == "mias" or (args.only is None and args.data is not None):
        for fold in args.folds:
            store.keep(f"mias-{fold}", lambda f=fold: mias(args.data / "mias", args.models, f))
    if args.only in (None, "exact"):
        run_exact(store, args.seeds)
    if args.only in (None, "trained"):
        for seed in args.seeds:
            store.keep(f"trained-{seed}", lambda s=seed: trained(s, args.steps))


def run_exact(store: Store, seeds: Sequence[int]) -> None:
    for correlation in CORRELATIONS:
        for seed in seeds:
            store.keep(f"exact-{correlation:g}-{seed}", lambda c=correlation, s=seed: exact(c, s))
