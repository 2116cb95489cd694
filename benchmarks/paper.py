"""The published network and estimator (Sarker et al., arXiv 2502.17727) on chest X-rays of 64 px, in the time Bayescope's took.

    python -m benchmarks paper --data FOLDER      # after the benchmark sizes has measured the chest X-rays

The network, its loss, optimiser and decay are those of ``recipes/paper``; it is trained for as many steps as fit into the
processor time of Bayescope's training in benchmarks/results/sizes.jsonl.  Test images are scored as published, by the flow
likelihood (RK45 at 1e-5, a fresh Gaussian probe for each image and class), of which only the first of each class can be
afforded; and all of them by the denoising bound of the same network at the levels of Bayescope's recipe, which separates what
the network costs from what the estimator costs.  Rows are kept in benchmarks/results/paper.jsonl.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bayescope.config import Config, read_config
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.evidence.level_weights import level_spacing
from bayescope.fitting.fit import fit
from bayescope.inference.model import LikelihoodModel
from bayescope.metrics.delong import auc_interval
from bayescope.runs.model_file import load_model, save_model
from bayescope.training.loop import Progress
from bayescope.types import Floats
from benchmarks.evidence import released
from benchmarks.learning import scores
from benchmarks.rows import few, first_of_each_class, interval
from benchmarks.sizes import RECIPES, Spent, load, row_of
from benchmarks.store import Store

HERE = Path(__file__).parent
PAPER = HERE.parent / "recipes" / "paper" / "paper.toml"
MODELS = HERE.parent / "runs" / "paper"
PIXELS, TRIAL_STEPS, VALIDATION = 64, 3, 20


def published_config(steps: int, seed: int) -> Config:
    """The recipe of the paper, for images of 64 px; levels and noises of the bound as in Bayescope's recipe."""
    config = read_config(PAPER)
    training = config.training.model_copy(update={"steps": steps, "validate_every": steps})
    ours = read_config(RECIPES / f"chest-{PIXELS}.toml").evidence
    levels = {key: getattr(ours, key) for key in ("levels", "noises", "sigma_min", "sigma_max")}
    evidence = config.evidence.model_copy(update=levels)
    return config.model_copy(update={"seed": seed, "size": PIXELS, "training": training, "evidence": evidence})


def train(data: Dataset, seed: int, seconds: float) -> tuple[LikelihoodModel, dict[str, Any]]:
    """For ``seconds`` of the processor; the validation images are few, since nothing is chosen or fitted on them."""
    step = steps_took(data, published_config(TRIAL_STEPS, seed)) / TRIAL_STEPS
    config = published_config(max(1, int(seconds / step)), seed)
    print(f"  a step {step:.2f} s: {config.training.steps} steps", flush=True)
    began, marks = Spent.now(), []

    def watch(progress: Progress) -> None:
        marks.append(began.since().record())
        if progress.state.step % 25 == 0:
            print(f"  step {progress.state.step}: {progress.losses.denoising:.4f}, {marks[-1]}", flush=True)

    model = fit(data, config, watch=watch)
    return model, {"steps": config.training.steps, "training": marks[-1]}


def steps_took(data: Dataset, config: Config) -> float:
    """Processor seconds of the steps of ``config``."""
    began, marks = Spent.now(), []
    fit(data, config, watch=lambda progress: marks.append(began.since().processor))
    return float(marks[-1])


def score(name: str, values: Floats, split: ImageSet, passes: float, began: Spent) -> dict[str, Any]:
    """Of class scores ``(n, 2)``, with the interval of the AUC."""
    milliseconds = 1e3 * began.since().processor / len(split)
    measured = {"images": len(split), "passes": passes, "ms": round(milliseconds, 1)}
    return {name: scores(values, split.labels) | {"auc_interval": interval(auc_interval(values, split.labels))} | measured}


def measure(data: Dataset, model: LikelihoodModel, per_class: int) -> dict[str, Any]:
    began = Spent.now()
    levels = model.level_evidence(data.test.pixels)
    bound = levels.mean @ level_spacing(levels.sigmas)
    row = score("bound", bound, data.test, levels.passes, began)
    chosen = first_of_each_class(data.test.labels, per_class)
    row |= score("bound_few", bound[chosen], data.test.subset(chosen), levels.passes, Spent.now())
    began, few_images = Spent.now(), few(data.test, per_class)
    found = released(model, few_images)
    return row | score("flow", found.values, few_images, found.passes, began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with kermany_cxr")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--per-class", type=int, default=15, help="test images of each class scored by the flow")
    parser.add_argument("--seconds", type=float, help="of training (default: Bayescope's of the same seed); asks for --results")
    parser.add_argument("--results", type=Path, help="where rows are kept (default: benchmarks/results)")
    args = parser.parse_args()
    if args.seconds and not args.results:
        parser.error("--seconds: give --results FOLDER too, so that rows of another time are kept apart")
    torch.set_num_threads(1)
    data = load(args.data, "chest", PIXELS)
    data = Dataset(data.train, data.val.subset(np.arange(VALIDATION)), data.test, source=data.source, notes=data.notes)
    ours = Store("sizes").rows()[row_of("chest", PIXELS, "bayescope", args.seed)]["training"]["processor"]

    def run() -> dict[str, Any]:
        kept = MODELS / f"chest-{PIXELS}-{args.seed}"
        model, row = train(data, args.seed, args.seconds or ours)
        save_model(kept, model)
        return row | measure(data, load_model(kept), args.per_class)

    store = Store("paper", args.results)
    store.keep(f"chest-{PIXELS}-{args.seed}", run)
    print(store.rows(), flush=True)
