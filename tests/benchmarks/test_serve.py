"""The load benchmark on a tiny run."""

from pathlib import Path

import pytest
from benchmarks.serve import measure, phantom, train
from benchmarks.store import Store
from benchmarks.tables import serve as table

from bayescope.data.dataset import Dataset


@pytest.mark.slow
def test_a_service_is_measured_and_the_rows_are_written(
    tiny_run: Path, tiny_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = measure(tiny_run, tiny_data.test.pixels, seconds=0.5, rounds=1, requests=40, folder=tmp_path)
    assert list(record["clients"]) == ["1", "8", "64"]
    assert all(found["per_second"] > 0 and found["p99_ms"] >= found["p50_ms"] for found in record["clients"].values())
    assert record["clients"]["64"]["images_per_batch"] > record["clients"]["1"]["images_per_batch"] == 1
    assert list(record["memory_mib"]) == ["0", "4", "40"]
    monkeypatch.setattr("benchmarks.store.RESULTS", tmp_path)
    Store("serve").put("phantom", record)
    assert sum(line.startswith("| ") for line in table.section()) == 5


@pytest.mark.slow
def test_the_phantom_is_of_8_bits_and_can_be_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.serve._IMAGES", 60)
    for name in ("_VALIDATION", "_TEST"):
        monkeypatch.setattr(f"bayescope.evaluation.demo.{name}", 45)
    data = phantom()
    assert data.train.pixels.dtype == "uint8"
    train(tmp_path / "run", data, steps=1)
    assert (tmp_path / "run" / "model.safetensors").is_file()
