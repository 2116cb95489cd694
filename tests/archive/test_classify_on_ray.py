"""A local cluster of two Ray workers, whose driver and worker are killed: the local engine's rows, none lost or repeated."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from bayescope.archive.classify import classify_archive
from bayescope.archive.ledger import Ledger
from bayescope.data.preparation.prepare import prepare_archive

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

IMAGES, SECONDS = 100, 240
DRIVER = """
import sys
from pathlib import Path
import ray
from bayescope.archive import classify
from bayescope.archive.ledger import Ledger
from bayescope.data.preparation.prepare import prepare_archive
run, folder, out, cache = map(Path, sys.argv[1:])
ray.shutdown = lambda: None  # one cluster for both jobs
classify.images_per_block = lambda model: 2
Ledger.remove = lambda ledger: None
print(classify.classify_archive(run, [str(folder)], out, engine="ray", workers=2).errors, flush=True)
sys.stdout = sys.stderr  # where the cluster, which is still there, tells of workers that died
prepare_archive("folder", folder, cache, 8, split="test", engine="ray", workers=1)
"""


def descendants(pid: int) -> dict[int, str]:
    """Processes that descend from one, with their names."""
    parents, names = dict[int, int](), dict[int, str]()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            child = int(stat.parent.name)
            parents[child] = int(stat.read_text().rpartition(")")[2].split()[1])
            names[child] = (stat.parent / "cmdline").read_text()
        except OSError:
            continue
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return {child: names[child] for child in found[1:]}


def is_alive(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_text())
    except OSError:
        return False


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def stamps(out: Path) -> dict[str, int]:
    return {part.name: part.stat().st_mtime_ns for part in Ledger(out).folder.glob("[0-9]*.parquet")}


def test_killed_driver_and_killed_worker(tiny_run: Path, pictures: list[bytes], tmp_path: Path) -> None:
    folder, out, cache = tmp_path / "images", tmp_path / "ray.parquet", tmp_path / "cache"
    for i in range(IMAGES):
        path = folder / ("lower", "upper")[i % 2] / f"{i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pictures[i % len(pictures)] if i != 7 else b"broken")
    start = [sys.executable, "-c", DRIVER, *map(str, (tiny_run, folder, out, cache))]
    log = (tmp_path / "log").open("w")
    with subprocess.Popen(start, stderr=log, stdout=log) as driver:
        until(lambda: len(stamps(out)) > 5)
        started = descendants(driver.pid)
        driver.kill()
    until(lambda: not any(is_alive(pid) for pid, name in started.items() if name.startswith("ray::MapWorker")))
    for pid in filter(is_alive, started):  # agents of the cluster, which take longer
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    first = stamps(out)
    assert 5 < len(first) < IMAGES // 2
    with subprocess.Popen(start, stderr=log, stdout=subprocess.PIPE, text=True) as driver:
        until(lambda: len(stamps(out)) > len(first) + 5)
        worker = next(pid for pid, name in descendants(driver.pid).items() if name.startswith("ray::MapWorker"))
        os.kill(worker, signal.SIGKILL)
        output, _ = driver.communicate(timeout=SECONDS)
    assert (driver.returncode, output.split()) == (0, ["1"]), (tmp_path / "log").read_text()
    assert first.items() <= stamps(out).items()
    assert len(stamps(out)) == IMAGES // 2
    here = tmp_path / "local.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bayescope.archive.classify.images_per_block", lambda model: 2)
        classify_archive(tiny_run, [str(folder)], here)
    assert pq.read_table(out).equals(pq.read_table(here))
    prepare_archive("folder", folder, tmp_path / "here", 8, split="test", workers=1)
    np.testing.assert_array_equal(np.load(cache / "images.npy"), np.load(tmp_path / "here" / "images.npy"))
    assert pq.read_table(cache / "cases.parquet").equals(pq.read_table(tmp_path / "here" / "cases.parquet"))
