"""How fast images are scored and trained on, how much of it inside convolutions and products, and how much memory it takes.

    python -m benchmarks throughput                     # CPU, or the GPU when there is one
    python -m benchmarks throughput --sizes 28 --batches 64 256

Untrained default networks (speed does not depend on the weights).  Prints, per image side and batch: network passes per
second, images per second of a decision between two classes that stops early, the share of the time inside convolutions and
matrix products, achieved FLOP/s over the device's own matrix product rate measured in the same run, and peak memory after
one batch and after four.  Every row is measured by a process of its own, whose peak is that row's alone.  On a GPU: bf16,
channels_last, compiled.

Training: images per second of whole steps of `bayescope train` with default settings, from a memory-mapped file to the average
of the weights, and the FLOP/s of their network passes and gradients over the same rate.  Kept in
benchmarks/results/throughput.jsonl, a row for each kind of device.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from bayescope.config import NetConfig, parse_config
from bayescope.data.dataset import ImageSet
from bayescope.data.pixel_scale import PixelScale
from bayescope.diffusion.denoiser import Denoiser, LevelDenoiser
from bayescope.diffusion.device import open_fabric
from bayescope.diffusion.image_statistics import ImageStatistics
from bayescope.diffusion.networks import build_denoiser
from bayescope.training.batches import Sampler
from bayescope.training.loop import Progress, start, train
from bayescope.training.sampler import seeded
from bayescope.training.step_loss import StepLoss
from benchmarks.store import RESULTS, Store
from benchmarks.tables.throughput import PASSES_PER_IMAGE

Found = TypeVar("Found")
START = "spawn"
STEPS_BEFORE = 5
IMAGES = 256
HEAVY = ("conv", "mm", "gemm", "bmm", "linear")


def network(size: int, device: torch.device) -> Denoiser:
    """The default network for two classes of grayscale images."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(16, 1, size, size, generator=generator)
    statistics = ImageStatistics.of(x, torch.arange(16) % 2, 2)
    return build_denoiser(statistics, NetConfig()).eval().requires_grad_(False).to(device)


def rate(call: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Calls per second, the device idle before and after."""
    call()
    n, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        n += 1
    return n / (time.perf_counter() - began)


def matmul_flops(device: torch.device, seconds: float) -> float:
    """Rate of a large square matrix product, FLOP/s."""
    n, dtype = (8192, torch.bfloat16) if device.type == "cuda" else (2048, torch.float32)
    a = torch.randn(n, n, device=device, dtype=dtype)
    return rate(lambda: a @ a, device, seconds) * 2 * n**3


def heavy_share(call: Callable[[], object], device: torch.device) -> float:
    """Share of the operators' own time spent in convolutions and matrix products."""
    activities = [ProfilerActivity.CUDA if device.type == "cuda" else ProfilerActivity.CPU]
    with profile(activities=activities) as record:
        call()
    events = record.key_averages()
    own = {e.key: e.self_device_time_total if device.type == "cuda" else e.self_cpu_time_total for e in events}
    return sum(t for key, t in own.items() if any(word in key.lower() for word in HEAVY)) / sum(own.values())


def peak_memory(device: torch.device) -> float:
    """Of this process (CPU; from /proc, as ru_maxrss counts the parent too) or of its allocator (GPU) since it began, MiB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 2**10


def under_both(level: LevelDenoiser, batch: int, device: torch.device) -> Callable[[Tensor], Tensor]:
    """``level`` under both classes of each image of a batch."""
    image = torch.arange(batch, device=device).repeat_interleave(2)
    label = torch.arange(2, device=device).repeat(batch)
    return lambda x: level(x, image, label)


def fastest(level: LevelDenoiser, batch: int, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The same as the device does it fastest."""
    score = under_both(torch.compile(level) if device.type == "cuda" else level, batch, device)

    def call(x: Tensor) -> Tensor:
        with torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext():
            return score(x)

    return call


@torch.inference_mode()
def measure(size: int, batch: int, device: torch.device, matmul: float, seconds: float) -> dict[str, float]:
    """One image side and batch, ``seconds`` of calls.  Memory first, before anything else is measured in this process."""

    def images() -> Tensor:
        return torch.randn(batch, 1, size, size, device=device).to(memory_format=torch.channels_last)

    level = network(size, device).at_level(0.5)
    score = fastest(level, batch, device)
    score(images())
    once = peak_memory(device)
    for _ in range(3):
        score(images())
    four_times, x = peak_memory(device), images()
    with FlopCounterMode(display=False) as counter:
        under_both(level, batch, device)(x)
    calls = rate(lambda: score(x), device, seconds)
    return {
        "size": size,
        "batch": batch,
        "passes_per_second": calls * 2 * batch,
        "images_per_second": calls * 2 * batch / PASSES_PER_IMAGE,
        "heavy_share": heavy_share(lambda: score(x), device),
        "flops_over_matmul": calls * counter.get_total_flops() / matmul,
        "one_batch_mib": once,
        "four_batches_mib": four_times,
    }


class Enough(Exception):
    """Measured for long enough."""


def measure_training(size: int, batch: int, device: torch.device, matmul: float, seconds: float) -> dict[str, float]:
    """Training of the default network on ``batch`` images a step, ``seconds`` of steps after the first few."""
    is_gpu = device.type == "cuda"
    config = parse_config(
        {
            "device": device.type,
            "precision": "bf16-mixed" if is_gpu else "32-true",
            "training": {"batch_size": batch, "compile": is_gpu, "augmentation": "light", "validate_every": 10**6},
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        images = mapped_images(Path(folder) / "images.npy", size)
        scale, fabric = PixelScale.of(images.pixels), open_fabric(config)
        state = start(config, images, scale, fabric)
        began: list[float] = []

        def watch(progress: Progress) -> None:
            if progress.state.step >= STEPS_BEFORE:
                began.append(time.perf_counter())
                if began[-1] - began[0] > seconds and len(began) > 2:
                    raise Enough

        try:
            train(state, config, images, images.subset([]), scale, fabric, watch)
        except Enough:
            steps_per_second = (len(began) - 1) / (began[-1] - began[0])
        batches = fabric.to_device(Sampler(images, None, config, scale)(0, seeded(0)))
    state.denoiser.get_submodule("net")._compiled_call_impl = None  # counted operator by operator
    with FlopCounterMode(display=False) as counter:
        StepLoss(state.denoiser, state.temperature, config.training)(lambda: batches).minimised.backward()
    return {
        "size": size,
        "batch": batch,
        "images_per_second": steps_per_second * batch,
        "flops_over_matmul": steps_per_second * counter.get_total_flops() / matmul,
        "peak_mib": peak_memory(device),
    }


def mapped_images(path: Path, size: int) -> ImageSet:
    """Noise of 16 bits in a file, mapped, of two classes."""
    rng = np.random.default_rng(0)
    np.save(path, rng.integers(0, 65536, (IMAGES, 1, size, size), dtype=np.uint16))
    names = tuple(map(str, range(IMAGES)))
    return ImageSet(np.load(path, mmap_mode="r"), np.arange(IMAGES) % 2, ("a", "b"), names)


def in_own_process(work: Callable[..., Found], *arguments: object) -> Found:
    """``work(*arguments)`` by a process that has done nothing else."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(START)) as pool:
        return pool.submit(work, *arguments).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[28, 128, 384])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 64, 256])
    parser.add_argument("--seconds", type=float, default=2.0, help="of calls per row")
    parser.add_argument("--training", action=argparse.BooleanOptionalAction, default=True, help="training too")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the rows")
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    matmul = in_own_process(matmul_flops, device, args.seconds)
    largest = 256 * 28**2 if device.type == "cpu" else 64 * 384**2
    pairs = [(size, batch) for size in args.sizes for batch in args.batches if batch * size**2 <= largest]
    largest_batch = {size: max(batch for side, batch in pairs if side == size and batch <= 64) for size in args.sizes}
    trained = largest_batch.items() if args.training else ()
    record = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "matmul_gflops": matmul / 1e9,
        "rows": [in_own_process(measure, size, batch, device, matmul, args.seconds) for size, batch in pairs],
        "training": [in_own_process(measure_training, size, batch, device, matmul, args.seconds) for size, batch in trained],
    }
    Store("throughput", args.results).put(device.type, record)
    print(json.dumps(record, indent=1))
