"""How fast images are weighed, how much of it inside convolutions and matrix products, and how much memory it takes.

    python benchmarks/throughput.py                     # CPU, or the GPU when there is one
    python benchmarks/throughput.py --sizes 28 --batches 64 256

Untrained default networks (speed does not depend on the weights).  Prints, per image side and batch: network passes per
second, the share of the time inside convolutions and matrix products, achieved FLOP/s over the device's own matrix product
rate measured in the same run, and peak memory for one and for four batches.  On a GPU: bf16, channels_last, compiled.
Kept in benchmarks/results/throughput-<device>.json.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from bayescope.config import NetConfig
from bayescope.denoiser import Denoiser, ImageStatistics, build_denoiser

RESULTS = Path(__file__).parent / "results"
HEAVY = ("conv", "mm", "gemm", "bmm", "linear")
SECONDS = 2.0


def network(size: int, device: torch.device) -> Denoiser:
    """The default network for two classes of grey images."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(16, 1, size, size, generator=generator)
    statistics = ImageStatistics.of(x, torch.arange(16) % 2, 2)
    return build_denoiser(statistics, NetConfig()).eval().requires_grad_(False).to(device)


def rate(call: Callable[[], object], device: torch.device) -> float:
    """Calls per second, the device idle before and after."""
    call()
    n, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        n += 1
    return n / (time.perf_counter() - began)


def matmul_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Rate of a large square matrix product, FLOP/s."""
    n = 8192 if device.type == "cuda" else 2048
    a = torch.randn(n, n, device=device, dtype=dtype)
    return rate(lambda: a @ a, device) * 2 * n**3


def heavy_share(call: Callable[[], object], device: torch.device) -> float:
    """Share of the operators' own time spent in convolutions and matrix products."""
    activities = [ProfilerActivity.CUDA if device.type == "cuda" else ProfilerActivity.CPU]
    with profile(activities=activities) as record:
        call()
    events = record.key_averages()
    own = {e.key: e.self_device_time_total if device.type == "cuda" else e.self_cpu_time_total for e in events}
    return sum(t for key, t in own.items() if any(word in key.lower() for word in HEAVY)) / sum(own.values())


def peak_memory(device: torch.device) -> float:
    """Of the process (CPU) or the allocator (GPU), MiB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


@torch.inference_mode()
def measure(size: int, batch: int, device: torch.device, matmul: float) -> dict[str, float]:
    """One image side and batch."""
    denoiser = network(size, device)
    level = denoiser.at_level(0.5)
    weigh = torch.compile(level) if device.type == "cuda" else level
    autocast = torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()
    x = torch.randn(batch, 1, size, size, device=device).to(memory_format=torch.channels_last)
    image = torch.arange(batch, device=device).repeat_interleave(2)
    label = torch.arange(2, device=device).repeat(batch)

    def call() -> None:
        with autocast:
            weigh(x, image, label)

    with FlopCounterMode(display=False) as counter:
        level(x, image, label)
    calls = rate(call, device)
    once = peak_memory(device)
    for _ in range(3):
        call()
    return {
        "size": size,
        "batch": batch,
        "passes_per_second": calls * 2 * batch,
        "heavy_share": heavy_share(call, device),
        "flops_over_matmul": calls * counter.get_total_flops() / matmul,
        "peak_mib": once,
        "peak_mib_four_batches": peak_memory(device),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[28, 128, 384])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 64, 256])
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    matmul = matmul_flops(device, torch.bfloat16 if device.type == "cuda" else torch.float32)
    largest = 256 * 28**2 if device.type == "cpu" else 64 * 384**2
    pairs = [(size, batch) for size in args.sizes for batch in args.batches if batch * size**2 <= largest]
    record = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "matmul_gflops": matmul / 1e9,
        "rows": [measure(size, batch, device, matmul) for size, batch in pairs],
    }
    text = json.dumps(record, indent=1)
    (RESULTS / f"throughput-{device.type}.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
