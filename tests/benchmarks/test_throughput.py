"""The benchmark of speed and memory: every row has its own peak, and files measured before that are still shown."""

import sys
from pathlib import Path

import pytest
import torch
from benchmarks.store import Store
from benchmarks.tables.throughput import section
from torch import Tensor

import started  # noqa: F401  what it imports is there for processes of the fork server
from benchmarks import throughput

CPU = torch.device("cpu")


@pytest.mark.slow
def test_a_small_row_after_a_large_one_has_its_own_peak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("--sizes", "56", "28", "--batches", "64", "--seconds", "0.01", "--no-training", "--results", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["throughput.py", *options])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(throughput, "START", "forkserver")
    throughput.main()
    large, small = Store("throughput", tmp_path).rows()["cpu"]["rows"]
    for key in ("one_batch_mib", "four_batches_mib"):
        assert large[key] > small[key] + 20
    assert large["images_per_second"] == pytest.approx(large["passes_per_second"] / 6)


def test_memory_is_read_after_one_batch_and_after_three_others(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str | float] = []
    monkeypatch.setattr(throughput, "fastest", lambda level, batch, device: lambda x: events.append(checksum(x)))
    monkeypatch.setattr(throughput, "peak_memory", lambda device: events.append("peak"))
    throughput.measure(8, 2, CPU, matmul=1.0, seconds=0.0)
    assert [i for i, event in enumerate(events) if event == "peak"] == [1, 5]
    assert len({events[i] for i in (0, 2, 3, 4)}) == 4


def checksum(x: Tensor) -> float:
    return float(x.double().sum())


def test_a_file_without_peaks_of_single_rows_shows_its_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.store.RESULTS", tmp_path)
    row = {"size": 28, "batch": 1, "passes_per_second": 60.0, "heavy_share": 0.5, "flops_over_matmul": 0.25}
    before = row | {"peak_mib": 492.0, "peak_mib_four_batches": 494.0}
    now = row | {"images_per_second": 10.0, "one_batch_mib": 350.0, "four_batches_mib": 351.0}
    record = {"device": "cpu", "threads": 2, "matmul_gflops": 143.0, "rows": [before, now]}
    Store("throughput").put("cpu", record)
    lines = section()
    assert "| 28 | 1 | 60.0 | 10.0 | 50% | 0.25 | – | – |" in lines
    assert "| 28 | 1 | 60.0 | 10.0 | 50% | 0.25 | 350 | 351 |" in lines


def test_training_is_measured_in_whole_steps_and_their_products() -> None:
    """Of twice as many images a step, as many products an image."""
    found = [throughput.measure_training(12, batch, CPU, matmul=1.0, seconds=0.0) for batch in (2, 4)]
    few, many = (row["flops_over_matmul"] / row["images_per_second"] for row in found)
    assert many == pytest.approx(few, rel=0.3)
    assert few > 3 * 12**2 * 100
