"""What cropping the spectrum saves: images per second scored and trained on, with the network seeing all of the image or less.

    python -m benchmarks crop --data FOLDER

Untrained default networks with the spectrum of chest X-rays (speed depends on it and not on the weights).  Scoring: every
level from 0.05 to 3, once, under two classes.  Training: whole steps of 16 images with the evidence loss at log σ ~ N(-1.4, 1).
One thread; the ways take turns, so that their ratios hold on a machine with other work.  Rows are kept in
benchmarks/results/crop.jsonl.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bayescope.config import Config, parse_config
from bayescope.data.dataset import ImageSet
from bayescope.data.load import load_dataset
from bayescope.data.pixel_scale import PixelScale
from bayescope.diffusion.denoiser import Denoiser
from bayescope.diffusion.device import open_fabric
from bayescope.evidence.denoising import level_evidence
from bayescope.training.loop import start, train
from benchmarks.store import Store

FOLDS, RATIOS = (2, 4), (0.0, 0.05, 0.2)
BATCH, STEPS, ROUNDS = 16, 4, 3
SIGMAS = np.geomspace(0.05, 3.0, 8)


def config_of(fold: int, ratio: float) -> Config:
    """Of a way to train: Muon, the evidence loss from the first step."""
    training = {"steps": STEPS, "batch_size": BATCH, "evidence_weight": 0.15, "validate_every": STEPS, "optimizer": "muon"}
    levels = {"noise_mean": -1.4, "noise_std": 1.0}
    return parse_config({"net": {"fold": fold, "crop_snr": ratio}, "training": training | levels})


def trained(config: Config, images: ImageSet) -> tuple[Denoiser, float]:
    """The network, and images per second after the first step."""
    scale, fabric = PixelScale.of(images.pixels), open_fabric(config)
    state, ends = start(config, images, scale, fabric), []
    train(state, config, images, images.subset([]), scale, fabric, lambda progress: ends.append(time.perf_counter()))
    return state.ema.eval(), BATCH * (len(ends) - 1) / (ends[-1] - ends[0])


def scored(denoiser: Denoiser, x: Tensor) -> float:
    """Images per second, each at every level under two classes."""
    noise = torch.randn(len(SIGMAS), 1, *x.shape[1:], generator=torch.Generator().manual_seed(0))
    began = time.perf_counter()
    level_evidence(denoiser, x, SIGMAS, noise)
    return len(x) / (time.perf_counter() - began)


def measure(images: ImageSet) -> list[dict[str, float]]:
    """Of each way: fold, ratio, pixels seen relative to all, and the best rates of all rounds."""
    x = torch.from_numpy(PixelScale.of(images.pixels).to_model(images.pixels[:BATCH]))
    ways = [{"fold": fold, "crop_snr": ratio} for fold in FOLDS for ratio in RATIOS]
    rows: list[dict[str, float]] = [{**way, "trained": 0.0, "scored": 0.0} for way in ways]
    for row in rows * ROUNDS:
        denoiser, rate = trained(config_of(int(row["fold"]), row["crop_snr"]), images)
        row |= {"trained": max(row["trained"], rate), "scored": max(row["scored"], scored(denoiser, x))}
        row["cost"] = float(denoiser.relative_cost(SIGMAS).mean())
    return [{key: round(value, 3) for key, value in row.items()} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with kermany_cxr")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128], help="pixels a side")
    args = parser.parse_args()
    torch.set_num_threads(1)
    store = Store("crop")
    for size in args.sizes:
        images = load_dataset(args.data / "kermany_cxr" / "table.csv", size=size).train
        store.put(str(size), measure(images))
        print(size, store.rows()[str(size)], flush=True)
