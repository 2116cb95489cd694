"""How fast an archive is classified by the local engine and by Ray, and what each worker needs of memory.

    python -m benchmarks ray                    # 10,000 files of 28 px; trains a phantom model first, kept in runs/ray
    python -m benchmarks ray --only constants   # one measurement

``bayescope classify RUN FOLDER --out answers.parquet`` runs as its own command: with the local engine in one process, with Ray
and one worker, and with Ray and two.  ``seconds`` is the whole command, the start of Python and of Ray included; ``steady`` the
images per second from the first part to the last, by the times at which parts were written.  Memory is the largest resident
and proportional share of a worker, sampled from /proc.  ``constants`` are what one image costs one thread in each stage, read,
pass, write, prepare and merge, and what a task that does nothing costs the Ray driver; they give the projection to several
nodes.  Kept in benchmarks/results/ray.jsonl.
"""

import argparse
import json
import operator
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from bayescope.archive.blocks import BlockClassifier, Options, columns_of, images_per_block
from bayescope.archive.ledger import Ledger
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.data.phantom import Phantom
from bayescope.data.preparation.mammogram import Preparation
from bayescope.data.preparation.workers import prepare_file
from bayescope.engines.ray_cluster import RayEngine
from bayescope.evaluation.demo import phantom_config, phantom_dataset
from bayescope.fitting.fit import fit_run
from bayescope.runs.files import MODEL
from bayescope.runs.model_file import load_model
from benchmarks.prepare import SECONDS_BETWEEN_SAMPLES, memory_of, tree
from benchmarks.store import RESULTS, Store

RUN = Path("runs/ray")
SIZE, DISTINCT = 28, 500
ENGINES = {"local-1": ("local", None), "ray-1": ("ray", 1), "ray-2": ("ray", 2)}
_STEPS, _IMAGES = 100, 3_000
_BLOCKS, _IDLE_TASKS = 4, 400


def phantom() -> Dataset:
    """Phantom images of 28 px and 8 bits."""
    drawn = phantom_dataset(Phantom(size=SIZE), _IMAGES, 0)
    low, high = np.quantile(drawn.train.pixels, [0.0005, 0.9995])

    def in_8_bits(images: ImageSet) -> ImageSet:
        return replace(images, pixels=((images.pixels - low) / (high - low) * 255).clip(0, 255).round().astype(np.uint8))

    return replace(drawn, train=in_8_bits(drawn.train), val=in_8_bits(drawn.val), test=in_8_bits(drawn.test))


def write_archive(folder: Path, data: Dataset, n: int) -> Path:
    """A folder of ``n`` names of distinct PNG files."""
    distinct, archive = folder / "distinct", folder / "archive"
    distinct.mkdir()
    archive.mkdir()
    for i in range(DISTINCT):
        Image.fromarray(data.test.pixels[i % len(data.test.pixels), 0]).save(distinct / f"{i}.png")
    for i in range(n):
        os.link(distinct / f"{i % DISTINCT}.png", archive / f"{i:06d}.png")
    return archive


class WorkerMemory(threading.Thread):
    """Peak of resident memory of any worker that descends from a process, or of the process itself, MiB."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.worker, self.driver, self.all, self.ended = pid, 0.0, 0.0, 0.0, threading.Event()

    def run(self) -> None:
        while not self.ended.wait(10 * SECONDS_BETWEEN_SAMPLES):
            found = {pid: memory_of(pid) for pid in tree(self.pid)}
            self.driver = max(self.driver, found[self.pid][0] / 2**10)
            self.all = max(self.all, sum(proportional for _, proportional in found.values()) / 2**10)
            workers = [resident for pid, (resident, _) in found.items() if _name(pid).startswith("ray::MapWorker")]
            self.worker = max(self.worker, *(resident / 2**10 for resident in workers), 0.0)


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def measure(run: Path, archive: Path, n: int, engine: str, workers: int | None, folder: Path) -> dict[str, Any]:
    """One command."""
    out = folder / "answers.parquet"
    line = ["-m", "bayescope", "classify", run, archive, "--out", out, "--engine", engine, "--json", "--force"]
    line += [] if workers is None else ["--workers", workers]
    began = time.perf_counter()
    log = folder / "log"
    with log.open("w") as errors:
        process = subprocess.Popen([sys.executable, *map(str, line)], stdout=subprocess.DEVNULL, stderr=errors)
    memory, parts = WorkerMemory(process.pid), dict[str, float]()
    memory.start()
    while process.poll() is None:
        for part in Ledger(out).folder.glob("[0-9]*.parquet"):
            parts.setdefault(part.name, time.perf_counter())
        time.sleep(0.05)
    seconds = time.perf_counter() - began
    memory.ended.set()
    memory.join()
    if process.returncode:
        raise SystemExit(f"classify ended with {process.returncode}: {log.read_text()[-2000:]}")
    times, per_block = sorted(parts.values()), images_per_block(load_model(run))
    return {
        "files": n,
        "seconds": seconds,
        "images_per_second": n / seconds,
        "start_seconds": times[0] - began,
        "steady_images_per_second": (len(times) - 1) * per_block / (times[-1] - times[0]),
        "worker_mib": memory.worker or memory.driver,
        "all_mib": memory.all,
        "load": os.getloadavg()[0],
    }


def constants(run: Path, archive: Path, folder: Path) -> dict[str, Any]:
    """Seconds that one image takes one thread: read, pass, write, and prepare; the median of a few blocks."""
    torch.set_num_threads(1)
    worker = BlockClassifier(Options(run, folder / "constants.parquet"))
    model, ledger = load_model(run), Ledger(folder / "constants.parquet")
    ledger.start("", force=True)
    files, n = sorted(map(str, archive.iterdir())), images_per_block(model)
    stages: dict[str, list[float]] = {"read": [], "pass": [], "write": [], "prepare": []}
    for block in range(_BLOCKS):
        chosen, marks = files[block * n : (block + 1) * n], [time.perf_counter()]
        read = [worker._read(file) for file in chosen]
        marks.append(time.perf_counter())
        rows = list(worker._classified([images for images, _ in read if images is not None]))
        marks.append(time.perf_counter())
        ledger.write(block, columns_of(rows, model))
        marks.append(time.perf_counter())
        for file in chosen:
            prepare_file(Path(file), Preparation(SIZE, crop=False, orient=False))
        marks.append(time.perf_counter())
        for stage, seconds in zip(stages, np.diff(marks) / len(chosen), strict=True):
            stages[stage].append(float(seconds))
    began = time.perf_counter()
    ledger.merge(_BLOCKS)
    merge = (time.perf_counter() - began) / (_BLOCKS * n)
    costs = {stage: float(np.median(found)) for stage, found in stages.items()} | {"merge": merge}
    return costs | dispatch() | {"images_per_block": n, "load": os.getloadavg()[0]}


def dispatch() -> dict[str, float]:
    """Seconds that Ray takes to start with one worker, and then for each task that does nothing."""
    began, done = time.perf_counter(), list[float]()
    for _ in RayEngine(1).run(_idle, range(_IDLE_TASKS)):
        done.append(time.perf_counter())
    return {"start": done[0] - began, "task": (done[-1] - done[0]) / (len(done) - 1)}


def _idle() -> Callable[[int], int]:
    return operator.pos


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=RUN, help="where the model of the phantom is kept")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--only", choices=(*ENGINES, "constants", "train"), help="one measurement")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the rows")
    args = parser.parse_args()
    data = phantom()
    if not (args.run / MODEL).is_file():
        args.run.parent.mkdir(parents=True, exist_ok=True)
        fit_run(data, phantom_config(0, {"steps": _STEPS, "batch_size": 32}, levels=4, noises=4), args.run)
    store, wanted = Store("ray", args.results), [args.only] if args.only else [*ENGINES, "constants"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive = write_archive(folder, data, args.files)
        for row in wanted:
            if row in ENGINES:
                store.put(row, measure(args.run, archive, args.files, *ENGINES[row], folder))
            elif row == "constants":
                store.put(row, constants(args.run, archive, folder))
            print(json.dumps({row: store.rows().get(row)}, indent=1), flush=True)
