"""Real sizes: Bayescope and a ResNet-18 given the same time, on chest X-rays and breast ultrasound above 28 px.

    python -m benchmarks sizes --data FOLDER                  # every recipe that is not measured yet
    python -m benchmarks sizes --data FOLDER --only breast --pixels 64 --methods bayescope --seeds 0
    python -m benchmarks sizes --data FOLDER --recipes TRIED --results TRIED --models TRIED --without-test     # to choose

A recipe is ``benchmarks/sizes/<data set>-<pixels>.toml``.  Each (data set, pixels, method, seed) is trained once and kept as a
row in benchmarks/results/sizes.jsonl.  The ResNet-18 takes as many steps, of as many images, as fit into the processor time
that Bayescope's training took with the same seed, its 20 checks on the validation split included; the weights of the best check
are kept.

Recipes are chosen by the validation AUC of the plain bound, which no validation label has changed, on images as they are and
moved and stretched at random (``val_shifted``); the test split is read once, after the last step, and not at all with
--without-test.  Recipes for chest X-rays may also be chosen on images of other file names than the training images'
(``--only chest-by-name``).  ``bayescope-from-chest`` starts from the kept network of the chest X-rays of the same size and
seed.  Models are kept in runs/sizes: one that a kept recipe fits is measured without being trained again.
"""

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bayescope.config import Config, read_config
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.data.load import load_dataset
from bayescope.evaluation.compare.training import Recipe, TrainedNetwork, train_network
from bayescope.evidence.level_weights import level_spacing
from bayescope.fitting.fit import fit
from bayescope.inference.model import LikelihoodModel
from bayescope.metrics.classification import accuracy
from bayescope.metrics.delong import auc
from bayescope.runs.files import write_atomically
from bayescope.runs.model_file import load_model, save_model
from bayescope.training.loop import Progress
from bayescope.training.sampler import seeded
from bayescope.types import Floats
from benchmarks.learning import SHIFT, scores
from benchmarks.store import Store

HERE = Path(__file__).parent
MODELS = HERE.parent / "runs" / "sizes"
RECIPES = HERE / "sizes"
FILES = {"chest": "kermany_cxr/table.csv", "breast": "breast_ultrasound/breastmnist_{pixels}_reassembled.npz"}
BY_NAME = "chest-by-name"
HELD_OUT = 300
METHODS = ("bayescope", "bayescope-from-chest", "resnet18")
LEFT_OUT = {("chest", "bayescope-from-chest")}
CHECKS = 20
TRIAL_STEPS = 6


@dataclass(frozen=True)
class Spent:
    """Seconds on the clock and of the processor, in this process alone."""

    elapsed: float
    processor: float

    @classmethod
    def now(cls) -> "Spent":
        return cls(time.perf_counter(), time.process_time())

    def since(self) -> "Spent":
        now = Spent.now()
        return Spent(now.elapsed - self.elapsed, now.processor - self.processor)

    def record(self) -> dict[str, float]:
        return {"elapsed": round(self.elapsed, 1), "processor": round(self.processor, 1)}


def load(folder: Path, name: str, pixels: int) -> Dataset:
    """The data set at ``pixels`` a side, with its own splits."""
    if name == BY_NAME:
        return split_by_name(load(folder, "chest", pixels))
    return load_dataset(folder / FILES[name].format(pixels=pixels), size=pixels)


def split_by_name(data: Dataset) -> Dataset:
    """Normal images of one series of file names and bacterial pneumonia to train on, the other series and viruses to choose by.

    Harder than the data set's own validation images, whose patients resemble those trained on.
    """
    names = [Path(name).name for name in data.train.names]
    held_out = np.array([name.startswith("IM-") or "_virus" in name for name in names])
    val = [np.flatnonzero(held_out & (data.train.labels == k))[:HELD_OUT] for k in range(data.n_classes)]
    return replace(data, train=data.train.subset(np.flatnonzero(~held_out)), val=data.train.subset(np.concatenate(val)))


def score(posterior: Floats, split: ImageSet) -> dict[str, float]:
    return {"auc": round(auc(posterior, split.labels), 5), "accuracy": round(accuracy(posterior, split.labels), 5)}


def run_bayescope(data: Dataset, config: Config, kept: Path, parts: tuple[str, ...], init: Path | None) -> dict[str, Any]:
    spent_file = kept.with_suffix(".json")
    if not (spent_file.exists() and load_model(kept).config == config):
        train_bayescope(data, config, kept, spent_file, init)
    model = load_model(kept)
    row: dict[str, Any] = {"steps": config.training.steps, "training": json.loads(spent_file.read_text())}
    row["weights"] = model.level_weights.weights.round(5).tolist()
    for part in parts:
        row |= measure(model, part, getattr(data, part))
    return row if "test" in parts else row | {"val_shifted": shifted(model, data.val)}


def train_bayescope(data: Dataset, config: Config, kept: Path, spent_file: Path, init: Path | None) -> None:
    """From the network of ``init`` if given.  Keep the model, and what its training took up to the last step."""
    begin = None if init is None else load_model(init)
    began = Spent.now()
    steps: list[dict[str, float]] = []

    def watch(progress: Progress) -> None:
        step, losses = progress.state.step, progress.losses
        if step % 25 == 0:
            print(f"  step {step}: {losses.denoising:.4f} {losses.evidence:.4f}, {began.since().record()}", flush=True)
        if step == progress.steps:
            steps.append(began.since().record())

    save_model(kept, fit(data, config, watch=watch, init=begin))
    write_atomically(spent_file, json.dumps(steps[-1]).encode())


def measure(model: LikelihoodModel, part: str, split: ImageSet) -> dict[str, Any]:
    """Of the fitted weights in full; of the plain bound; and of the fitted weights where scoring stops early."""
    began = Spent.now()
    levels = model.level_evidence(split.pixels)
    row: dict[str, Any] = {"passes": levels.passes, f"{part}_ms": _ms_per_image(began, split)}
    row[part] = score(model.predict_from_levels(levels).posterior, split)
    row[f"{part}_bound"] = scores(levels.mean @ level_spacing(levels.sigmas), split.labels)
    began = Spent.now()
    early = model.classify(split.pixels)
    row[f"{part}_early"] = score(early.posterior, split) | {
        "passes": round(float(early.passes.mean()), 2),
        "ms": _ms_per_image(began, split),
    }
    return row


def shifted(model: LikelihoodModel, split: ImageSet) -> dict[str, float]:
    """Of the plain bound on images moved and stretched at random."""
    levels = model.level_evidence(split.pixels, change=SHIFT.in_turn(len(split), seeded(0)))
    return scores(levels.mean @ level_spacing(levels.sigmas), split.labels)


def _ms_per_image(began: Spent, split: ImageSet) -> float:
    return round(1e3 * began.since().processor / len(split), 2)


def run_resnet18(data: Dataset, config: Config, seed: int, seconds: float, parts: tuple[str, ...]) -> dict[str, Any]:
    """With the recipe's batches and augmentation, for ``seconds`` of the processor."""
    recipe = network_recipe(data, config, seed, seconds)
    began = Spent.now()

    def checked(step: int, reached: float) -> None:
        print(f"  step {step}: {reached:.4f}, {began.since().record()}", flush=True)

    network = train_network("resnet18", data, seed, recipe, checked=checked)
    row: dict[str, Any] = {"steps": network.steps, "training": began.since().record(), "passes": 1}
    for part in parts:
        split: ImageSet = getattr(data, part)
        began = Spent.now()
        row[part] = score(network.predict(split.pixels), split)
        row[f"{part}_ms"] = _ms_per_image(began, split)
    return row


def network_recipe(data: Dataset, config: Config, seed: int, seconds: float) -> Recipe:
    """As many steps as the time allows, tried out with a few; at least one for every check."""
    training = config.training
    changes = {"augmentation": training.augmentation, "intensity": training.intensity}
    recipe = Recipe(TRIAL_STEPS, training.batch_size, **changes, checks=1, patience=CHECKS)
    began = Spent.now()
    tried: TrainedNetwork = train_network("resnet18", data, seed, recipe)
    trial = began.since().processor
    began = Spent.now()
    tried.predict(data.val.pixels)
    check = began.since().processor
    step = (trial - check) / TRIAL_STEPS
    steps = max(1, int((seconds - CHECKS * check) / step / CHECKS)) * CHECKS
    print(f"  a step {step:.2f} s, a check {check:.1f} s: {steps} steps", flush=True)
    return replace(recipe, steps=steps, checks=CHECKS)


def row_of(name: str, pixels: int, method: str, seed: int) -> str:
    return f"{name}-{pixels}-{method}-{seed}"


def measure_row(args: argparse.Namespace, store: Store, name: str, pixels: int, method: str, seed: int) -> dict[str, Any]:
    parts = ("val",) if args.without_test else ("val", "test")
    config = read_config(args.recipes / f"{name}-{pixels}.toml").model_copy(update={"seed": seed})
    data = load(args.data, name, pixels)
    about = {"threads": torch.get_num_threads(), "train_images": len(data.train)}
    if method != "resnet18":
        init = args.models / row_of("chest", pixels, "bayescope", seed) if method == "bayescope-from-chest" else None
        return about | run_bayescope(data, config, args.models / row_of(name, pixels, method, seed), parts, init)
    ours = store.rows()[row_of(name, pixels, "bayescope", seed)]
    return about | run_resnet18(data, config, seed, ours["training"]["processor"], parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with kermany_cxr and breast_ultrasound")
    parser.add_argument("--only", choices=(*FILES, BY_NAME), help=f"one data set; {BY_NAME} to choose only")
    parser.add_argument("--pixels", type=int, nargs="+", default=[64, 128], help="a side")
    parser.add_argument("--methods", choices=METHODS, nargs="+", default=METHODS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--recipes", type=Path, default=RECIPES, help="folder of recipes (default: benchmarks/sizes)")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder of trained models (default: runs/sizes)")
    parser.add_argument("--results", type=Path, help="where rows are kept (default: benchmarks/results)")
    parser.add_argument("--without-test", action="store_true", help="to choose; asks for --results")
    args = parser.parse_args()
    if args.only == BY_NAME and not args.without_test:
        parser.error(f"{BY_NAME} is there to choose recipes by: give --without-test too")
    if args.without_test and not args.results:
        parser.error("--without-test: give --results FOLDER too, so that rows without test are not taken for full ones")
    torch.set_num_threads(1)
    store = Store("sizes", args.results)
    for name in [args.only] if args.only else FILES:
        for pixels in [size for size in args.pixels if (args.recipes / f"{name}-{size}.toml").exists()]:
            for seed in args.seeds:
                methods = [method for method in METHODS if method in args.methods and (name, method) not in LEFT_OUT]
                for method in methods:  # Bayescope first, whose time the network is given
                    row = row_of(name, pixels, method, seed)
                    store.keep(row, lambda row=(name, pixels, method, seed): measure_row(args, store, *row))
                    print(store.rows()[row], flush=True)
