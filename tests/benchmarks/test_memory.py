"""The benchmark of memory: a cache that training takes, and a peak for each stage."""

import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks.store import Store
from benchmarks.tables.memory import section

import started  # noqa: F401  what it imports is there for processes of the fork server
from bayescope.data.load import load_dataset
from benchmarks import memory


def test_the_cache_is_one_that_is_read_and_mostly_holes(tmp_path: Path) -> None:
    n = memory.write_cache(tmp_path, 0.03)
    data = load_dataset(tmp_path)
    assert len(data.train) + 2 * memory.HELD_OUT == n == 321
    assert data.train.pixels.shape[1:] == (1, memory.SIDE, memory.SIDE)
    assert not isinstance(data.train.pixels.base, type(None))
    assert np.unique(data.train.labels).tolist() == [0, 1]
    assert not np.array_equal(data.train.pixels[0], data.train.pixels[1])
    images = (tmp_path / "images.npy").stat()
    assert images.st_blocks * 512 < images.st_size / 5


@pytest.mark.slow
def test_peaks_are_told_by_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "HELD_OUT", 16)
    monkeypatch.setattr("benchmarks.throughput.START", "forkserver")
    options = ("--gib", "0.03", "--steps", "3", "--results", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["memory.py", *options])
    memory.main()
    (record,) = Store("memory", tmp_path).rows().values()
    assert 50 < record["before_mib"] < record["steps_mib"] < 2000
    assert record["before_mib"] < record["until_the_first_step_mib"]
    monkeypatch.setattr("benchmarks.store.RESULTS", tmp_path)
    assert any(line.startswith("| 0.03 | 321 |") for line in section())
