"""How much memory training takes, whatever the size of the cache that it reads.

    python -m benchmarks memory                  # caches of 2 and 8 GiB, in the folder for temporary files
    python -m benchmarks memory --gib 0.1 --steps 3

Each cache is written as `bayescope prepare` lays it out: 224 px, 16 bits, two classes, the first row of every image random
and the rest blank, as holes of the file, so that it takes little of the disk and reads as if it were full.  `bayescope train`
as a function, on a small network and in shards of 64 images, by a process of its own: its anonymous memory, which is all but
mapped files, from /proc/self/status 50 times a second; before the data are opened, until the first step (hashes of all images,
image statistics), and in the steps.  Caches are removed afterwards.  Kept in benchmarks/results/memory.jsonl.
"""

import argparse
import json
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.lib.format import open_memmap

from bayescope.config import parse_config
from bayescope.data.archives.base import Summary
from bayescope.data.load import load_dataset
from bayescope.data.preparation.cache import CASES, IMAGES
from bayescope.data.preparation.mammogram import Preparation
from bayescope.data.preparation.manifest import FORMAT, MANIFEST, Manifest
from bayescope.fitting.fit import fit_run
from bayescope.training.loop import Progress
from benchmarks.store import RESULTS, Store
from benchmarks.throughput import in_own_process

SIDE = 224
HELD_OUT = 64
SECONDS_BETWEEN_SAMPLES = 0.02


def write_cache(folder: Path, gib: float) -> int:
    """A finished cache whose images take so many GiB; returns how many there are."""
    n = round(gib * 2**30 / (2 * SIDE**2))
    rng = np.random.default_rng(0)
    pixels = open_memmap(folder / IMAGES, mode="w+", dtype=np.uint16, shape=(n, SIDE, SIDE))
    for image in pixels:
        image[0] = rng.integers(0, 4096, SIDE, dtype=np.uint16)
    pixels.flush()
    split = np.repeat(["train", "val", "test"], [n - 2 * HELD_OUT, HELD_OUT, HELD_OUT])
    numbers = [f"{i:07d}" for i in range(n)]
    label = np.where(np.arange(n) % 2, "benign", "malignant")
    cases = {"path": [f"{i}.dcm" for i in numbers], "label": label, "patient": numbers, "split": split, "frame": np.nan}
    pd.DataFrame(cases).to_parquet(folder / CASES)
    summary = Summary("synthetic", "class", "official", "images", n, n, {}, {}, dict(Counter(split.tolist())), ())
    manifest = Manifest(FORMAT, "", n, ("benign", "malignant"), Preparation(SIDE), summary, {}, 0, 0, {}, "")
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest)))
    return n


def anonymous_mib() -> float:
    """Resident memory of this process that is not of a file."""
    return int(Path("/proc/self/status").read_text().partition("RssAnon:")[2].split()[0]) / 2**10


class Peaks:
    """The most anonymous memory in each of several stages, MiB, sampled by a thread."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()
        self.stage = "before"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()

    def _sample(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_SAMPLES):
            self.found[self.stage] = max(self.found[self.stage], anonymous_mib())

    def end(self) -> None:
        """Take no more samples."""
        self._ended.set()
        self._thread.join()


def measure(cache: Path, run: Path, steps: int) -> dict[str, float]:
    """Train on ``cache``; peaks of anonymous memory, MiB, by stage."""
    config = parse_config(
        {
            "device": "cpu",
            "net": {"widths": [8, 8]},
            "training": {"steps": steps, "batch_size": 16, "shard_images": 64, "validate_every": steps},
            "evidence": {"levels": 2, "noises": 1, "level_weights": "bound", "calibration": "none"},
        }
    )
    peaks = Peaks()
    time.sleep(5 * SECONDS_BETWEEN_SAMPLES)

    def watch(progress: Progress) -> None:
        if progress.state.step == 1:
            peaks.stage = "steps"

    try:
        peaks.stage = "until the first step"
        fit_run(load_dataset(cache), config, run, watch=watch)
    finally:
        peaks.end()
    return {f"{stage.replace(' ', '_')}_mib": peak for stage, peak in peaks.found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, nargs="+", default=[2, 8])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the rows")
    args = parser.parse_args()
    for gib in args.gib:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "cache").mkdir()
            n = write_cache(folder / "cache", gib)
            found = in_own_process(measure, folder / "cache", folder / "run", args.steps)
            record = {"gib": gib, "images": n, "side": SIDE, **found}
            Store("memory", args.results).put(f"{gib:g}-gib", record)
            print(json.dumps(record, indent=1))
