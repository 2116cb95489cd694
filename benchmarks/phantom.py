"""Bayescope on the phantom compared with the ideal observer, trained longer than the demo: AUC one against the rest, per class.

    python -m benchmarks phantom [--seed 0] [--steps 14000]

Fresh training images are drawn from the phantom's own law; levels and weights are chosen on a validation split; the test
split is read once.  The result is kept in benchmarks/results/phantom.jsonl and shown in docs/results.md.
"""

import argparse
import json
import time

import numpy as np
import torch

from bayescope.config import Config
from bayescope.data.dataset import ImageSet
from bayescope.data.phantom import Phantom
from bayescope.evaluation.demo import DETECTION, IdealObserver, phantom_config, phantom_dataset
from bayescope.fitting.fit import fit
from bayescope.metrics.classification import accuracy
from bayescope.metrics.delong import one_vs_rest_auc
from bayescope.types import Floats
from benchmarks.store import Store

IMAGES, STEPS = 250_000, 14_000


def benchmark_config(seed: int = 0, steps: int | None = None) -> Config:
    """The network of the demo, trained several times longer and scored more carefully."""
    training = DETECTION | {"steps": steps or STEPS, "batch_size": 32, "learning_rate": 3e-3, "validate_every": 1000}
    return phantom_config(seed, training, levels=7, noises=4)


def score(posterior: Floats, split: ImageSet) -> dict[str, object]:
    """AUC of each class against the rest, their mean, and accuracy."""
    aucs = [one_vs_rest_auc(posterior[:, k], split.labels == k) for k in range(split.n_classes)]
    return {"auc": np.round(aucs, 4).tolist(), "mean_auc": float(np.mean(aucs)), "accuracy": accuracy(posterior, split.labels)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="training steps (default: the benchmark's)")
    args = parser.parse_args()
    config, phantom = benchmark_config(args.seed, args.steps), Phantom()
    data = phantom_dataset(phantom, IMAGES, args.seed)
    began = time.perf_counter()

    def watch(progress) -> None:  # type: ignore[no-untyped-def]
        if progress.validation is not None:
            seconds, loss = time.perf_counter() - began, progress.validation
            print(
                f"step {progress.state.step}: {seconds:.0f} s, validation {loss.denoising:.4f} {loss.evidence:.4f}", flush=True
            )

    model = fit(data, config, watch=watch)
    record = {"seed": args.seed, "steps": config.training.steps, "threads": torch.get_num_threads()}
    record["train_seconds"] = round(time.perf_counter() - began)
    levels = model.level_evidence(data.test.pixels)
    record |= {"passes": levels.passes, "bayescope": score(model.predict_from_levels(levels).posterior, data.test)}
    record["ideal"] = score(IdealObserver(phantom).posterior(data.test), data.test)
    Store("phantom").put(f"seed-{args.seed}", record)
    print(json.dumps(record, indent=1))
