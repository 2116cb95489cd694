"""Bayescope and a MONAI ResNet-18 on MedMNIST files at 28 px: AUC and accuracy, mean and spread over seeds.

    python -m benchmarks medmnist --data FOLDER               # everything that is not measured yet, then the table
    python -m benchmarks medmnist --data FOLDER --only breastmnist --method bayescope --seeds 0

Each (data set, method, seed) is trained once and kept as a row in benchmarks/results/medmnist.jsonl; remove a line to
measure it again.  Models are kept in runs/medmnist, where the other benchmarks look for them; `--missing-models` trains those
that are not there, and leaves rows as they are.  `--score-again` measures kept networks again after a change in how images are
scored, not in how networks are trained: what validation images teach is learned again, and rows keep their training time.
Run folders of another format are refused, here as anywhere.
Levels, weights, thresholds and epochs come from the train and validation splits; the test split is read once, at the end of
each run.
"""

import argparse
import hashlib
import json
import time
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from bayescope.config import read_config
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.data.load import load_dataset
from bayescope.evaluation.compare.training import Recipe, save_network, train_network
from bayescope.fitting.fit import calibration_augmentation, fit
from bayescope.fitting.post_hoc import calibrated
from bayescope.inference.model import LikelihoodModel
from bayescope.runs.model_file import load_model, save_model
from benchmarks.store import Store

HERE = Path(__file__).parent
STORE = Store("medmnist")
MODELS = HERE.parent / "runs" / "medmnist"
RECIPES = HERE.parent / "recipes" / "medmnist"
FAST = HERE / "fast"
FILES = {"pneumoniamnist": "pneumoniamnist_reassembled.npz", "breastmnist": "breastmnist.npz"}
METHODS = ("bayescope", "bayescope-fast", "resnet18")


def kept_model(name: str, method: str, seed: int) -> Path:
    """Run folder of Bayescope, safetensors file of a network."""
    if method == "bayescope":
        return MODELS / f"{name}-{seed}"
    return MODELS / (f"{name}-{method}-{seed}" + ("" if method.startswith("bayescope") else ".safetensors"))


def recipe_of(name: str, method: str) -> Path:
    """What trains Bayescope, or is as fair as can be for a network."""
    return (FAST if method == "bayescope-fast" else RECIPES) / f"{name}.toml"


def row_of(name: str, method: str, seed: int) -> str:
    """Name of the row."""
    return f"{name}-{method}-{seed}"


def score(posterior: np.ndarray, split: ImageSet) -> dict[str, float]:
    """AUC and accuracy of binary posteriors ``(n, 2)``."""
    return {
        "auc": float(roc_auc_score(split.labels, posterior[:, 1])),
        "accuracy": float((posterior.argmax(axis=1) == split.labels).mean()),
    }


def recipe_mark(name: str, method: str = "bayescope") -> str:
    """Distinguishes networks of this recipe from those of an earlier one; of the ResNet-18, by what it takes of it."""
    settings = tomllib.loads(recipe_of(name, method).read_text())
    del settings["evidence"]
    if method == "resnet18":
        settings = {key: value for key, value in settings["training"].items() if key in ("augmentation", "intensity")}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def run_bayescope(name: str, data: Dataset, seed: int, method: str) -> dict[str, object]:
    config = read_config(recipe_of(name, method)).model_copy(update={"seed": seed})
    began = time.perf_counter()

    def watch(progress) -> None:  # type: ignore[no-untyped-def]
        if progress.validation is not None:
            v = progress.validation
            print(
                f"{name} seed {seed} step {progress.state.step}: {time.perf_counter() - began:.0f} s, train "
                f"{progress.losses.denoising:.4f} {progress.losses.evidence:.4f}, "
                f"validation {v.denoising:.4f} {v.evidence:.4f}",
                flush=True,
            )

    model = fit(data, config, watch=watch)
    trained = {
        "recipe": recipe_mark(name, method),
        "train_seconds": round(time.perf_counter() - began),
        "threads": torch.get_num_threads(),
    }
    save_model(kept_model(name, method, seed), model)
    return trained | measure(model, data)


def score_again(name: str, data: Dataset, seed: int, method: str) -> dict[str, object]:
    run = kept_model(name, method, seed)
    kept = load_model(run)
    evidence = read_config(recipe_of(name, method)).evidence
    kept = replace(kept, config=kept.config.model_copy(update={"evidence": evidence}))
    model = calibrated(kept, data.val, calibration_augmentation(kept.config, len(data.train)))
    save_model(run, model)
    return {**STORE.rows()[row_of(name, method, seed)], **measure(model, data)}


def measure(model: LikelihoodModel, data: Dataset) -> dict[str, object]:
    """AUC and accuracy on validation and test images, scored in full.

    Also at the class frequencies of the training images, and of the same network had it learned from validation images as they
    are alone (``calibration_augmentation`` 0).
    """
    frequency, unshifted = np.bincount(data.train.labels) / len(data.train), calibrated(model, data.val, None)
    results: dict[str, object] = {"weights": model.level_weights.weights.round(5).tolist()}
    for split_name, split in (("val", data.val), ("test", data.test)):
        levels = model.level_evidence(split.pixels)
        results[split_name] = score(model.predict_from_levels(levels).posterior, split)
        results[f"{split_name}_training_prior"] = score(model.predict_from_levels(levels, frequency).posterior, split)
        results[f"{split_name}_unshifted"] = score(unshifted.predict_from_levels(levels).posterior, split)
        results["passes"] = levels.passes
    return results


def run_resnet18(name: str, data: Dataset, seed: int, method: str) -> dict[str, object]:
    """With the same augmentation as Bayescope's recipe; trained longer, and stopped by the validation split."""
    training = read_config(recipe_of(name, method)).training
    usual = Recipe.usual(len(data.train))
    recipe = replace(usual, augmentation=training.augmentation, intensity=training.intensity)
    began = time.perf_counter()
    network = train_network("resnet18", data, seed, recipe)
    results: dict[str, object] = {
        "recipe": recipe_mark(name, "resnet18"),
        "train_seconds": round(time.perf_counter() - began),
        "threads": torch.get_num_threads(),
        "passes": 1,
        "steps": network.steps,
    }
    MODELS.mkdir(parents=True, exist_ok=True)
    save_network(kept_model(name, "resnet18", seed), network)
    for split_name, split in (("val", data.val), ("test", data.test)):
        results[split_name] = score(network.predict(split.pixels), split)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the two .npz files")
    parser.add_argument("--only", choices=FILES, help="one data set")
    parser.add_argument("--method", choices=METHODS, help="one method")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--score-again", action="store_true", help="measure kept networks of Bayescope again")
    parser.add_argument("--missing-models", action="store_true", help="also train what has a row but no kept model")
    args = parser.parse_args()
    for name in [args.only] if args.only else FILES:
        data = load_dataset(args.data / FILES[name])
        for method in [args.method] if args.method else METHODS:
            for seed in args.seeds:
                row, kept = row_of(name, method, seed), kept_model(name, method, seed)
                is_measured = row in STORE.rows()
                if not recipe_of(name, method).exists():
                    continue
                is_ours = method.startswith("bayescope")
                if args.score_again and is_ours and kept.exists() and is_measured:
                    STORE.put(row, score_again(name, data, seed, method))
                elif not is_measured or (args.missing_models and not kept.exists()):
                    record = (run_bayescope if is_ours else run_resnet18)(name, data, seed, method)
                    if not is_measured:
                        STORE.put(row, record)
                print(row, STORE.rows()[row], flush=True)
