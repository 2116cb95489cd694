"""A cache whatever happens to it: killed at any moment, no space, files changed afterwards, its own files damaged."""

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from bayescope.data.archives.image_folder import read_image_folder
from bayescope.data.load import load_dataset
from bayescope.data.preparation import cache, manifest, prepare, workers
from bayescope.data.preparation.mammogram import Preparation
from bayescope.engines import local
from bayescope.errors import DataError, RunError
from conftest import Call
from mammograms import mammogram, write_mammogram

N, SIZE = 24, 16


class Killed(BaseException):
    """Like a kill, nobody catches it."""


def die(*arguments: object, **options: object) -> None:
    raise Killed


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads in place of processes: here, what happens around the files counts."""
    monkeypatch.setattr(local, "ProcessPoolExecutor", lambda n, mp_context, **start: ThreadPoolExecutor(n, **start))


def write_source(folder: Path, broken: int) -> Path:
    for n in range(N):
        write_mammogram(folder / ("ill", "well")[n % 2] / f"{n}.dcm", mammogram(60, 40, seed=n))
    for n in range(3, 3 + broken):
        (folder / ("ill", "well")[n % 2] / f"{n}.dcm").write_bytes(b"no image")
    return folder


def run(source: Path, out: Path) -> tuple[prepare.Result, int]:
    """What ``prepare`` gives, and how many files it found done."""
    heard: list[int] = []
    result = prepare.prepare(read_image_folder(source), Preparation(SIZE), out, source, 1, callback=heard.append)
    assert sum(heard) == N
    return result, heard[0]


def content(out: Path) -> tuple[bytes, str]:
    """Pixels and table, in full."""
    return (out / cache.IMAGES).read_bytes(), pd.read_parquet(out / cache.CASES).to_json(orient="records")


class Case(NamedTuple):
    """A source, its broken files, and its cache when nothing happens."""

    source: Path
    broken: int
    finished: Path


@pytest.fixture(scope="module", params=[0, 2], ids=["all whole", "two broken"])
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A source, written once, and how many of its files are broken."""
    return write_source(tmp_path_factory.mktemp("original"), request.param), request.param


@pytest.fixture
def case(original: tuple[Path, int], tmp_path: Path, in_this_process: None) -> Case:
    source, broken = original
    copy = Path(shutil.copytree(source, tmp_path / "source"))
    result, _ = run(copy, tmp_path / "finished")
    assert len(result.broken) == broken
    return Case(copy, broken, tmp_path / "finished")


def check(case: Case, out: Path) -> None:
    """Finished, as if nothing had happened, with nothing left over."""
    assert content(out) == content(case.finished)
    assert load_dataset(out).fingerprint == load_dataset(case.finished).fingerprint
    assert {path.name for path in out.iterdir()} == {cache.IMAGES, cache.CASES, cache.PROGRESS, manifest.MANIFEST}
    assert run(case.source, out)[0].unchanged


@pytest.mark.parametrize(
    "moment",
    [
        "bayescope.data.preparation.cache.copy_rows",
        "pandas.DataFrame.to_parquet",
        "bayescope.data.preparation.finish._hash_of_file",
        "bayescope.data.preparation.finish.write_pending",
        "bayescope.data.preparation.finish.publish",
    ],
)
def test_a_kill_at_the_end_loses_nothing(case: Case, tmp_path: Path, moment: str) -> None:
    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moment, die)
        if case.broken or not moment.endswith("copy_rows"):
            with pytest.raises(Killed):
                run(case.source, out)
            with pytest.raises(DataError, match="has not finished"):
                load_dataset(out)
        else:
            run(case.source, out)
    result, done = run(case.source, out)
    assert result.unchanged or done == N - case.broken
    check(case, out)


KILLED = """
import os, signal, sys
from pathlib import Path
from pkgutil import resolve_name
from bayescope.data.preparation import prepare
from bayescope.data.preparation.mammogram import Preparation
from bayescope.data.archives.image_folder import read_image_folder

where, name = sys.argv[1].rsplit(".", 1)
setattr(resolve_name(where), name, lambda *arguments: os.kill(os.getpid(), signal.SIGKILL))
source, out = map(Path, sys.argv[2:])
prepare.prepare(read_image_folder(source), Preparation(16), out, source, 1)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("moment", "done"), [("os.posix_fallocate", 0), ("bayescope.data.preparation.finish.publish", N)])
def test_a_real_kill(tmp_path: Path, moment: str, done: int) -> None:
    source, out = write_source(tmp_path / "source", 0), tmp_path / "out"
    command = [sys.executable, "-c", KILLED, moment, str(source), str(out)]
    killed = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert run(source, out)[1] == done
    assert len(load_dataset(out).train) > 0


@contextmanager
def files_no_larger_than(n_bytes: int) -> Iterator[None]:
    """A disk that is full beyond."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_no_space_for_the_pixels(tmp_path: Path) -> None:
    source, out = write_source(tmp_path / "source", 0), tmp_path / "out"
    with files_no_larger_than(4096), pytest.raises(RunError, match=r"cannot be written .*What was done is kept"):
        run(source, out)
    assert [path.name for path in out.iterdir()] == [cache.PROGRESS]
    assert run(source, out)[0].used == N


@pytest.mark.parametrize("moment", ["pandas.DataFrame.to_parquet", "bayescope.data.preparation.finish.write_pending"])
def test_no_space_at_the_end(case: Case, tmp_path: Path, moment: str) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moment, full)
        with pytest.raises(RunError, match=r"No space left on device.*What was done is kept"):
            run(case.source, out)
    assert run(case.source, out)[1] == N - case.broken
    check(case, out)


def test_a_lone_file_of_pixels_is_an_unfinished_cache(tmp_path: Path, cli: Call) -> None:
    source, out = write_source(tmp_path / "source", 0), tmp_path / "out"
    out.mkdir()
    (out / cache.PARTIAL).write_bytes(b"")
    assert not run(source, out)[0].broken
    shutil.rmtree(out)
    out.mkdir()
    (out / cache.PARTIAL).write_bytes(b"")
    told = cli("prepare", "folder", source, "--size", SIZE, "--out", out, "--force", "--workers", 1)
    assert told.code == 0, told.err
    (tmp_path / "other").mkdir()
    for name in (cache.PARTIAL, "thesis.txt"):
        (tmp_path / "other" / name).write_bytes(b"dear")
    with pytest.raises(RunError, match="not empty"):
        run(source, tmp_path / "other")


def test_only_changed_and_broken_files_are_done_again(case: Case, tmp_path: Path) -> None:
    out = case.finished
    before = content(out)
    os.utime(case.source / "ill" / "0.dcm")
    assert run(case.source, out)[1] == N - case.broken - 1
    assert content(out) == before
    write_mammogram(case.source / "well" / "5.dcm", mammogram(60, 40, seed=99))
    result, done = run(case.source, out)
    assert (result.unchanged, done, len(result.broken)) == (False, N - case.broken - 1, case.broken)
    if case.broken:
        write_source(case.source, 0)
        write_mammogram(case.source / "well" / "5.dcm", mammogram(60, 40, seed=99))
    assert len(run(case.source, out)[0].broken) == 0
    fresh = tmp_path / "fresh"
    run(case.source, fresh)
    assert content(out) == content(fresh)
    assert run(case.source, out)[0].unchanged


@pytest.mark.parametrize(
    "moment",
    [
        "bayescope.data.preparation.journal.copy_rows",
        "bayescope.data.preparation.prepare.outcomes_of",
        "bayescope.data.preparation.prepare.finish",
    ],
)
def test_a_kill_while_changed_files_are_done_again(case: Case, tmp_path: Path, moment: str) -> None:
    expected = content(case.finished)
    os.utime(case.source / "ill" / "0.dcm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moment, die)
        if case.broken or not moment.endswith("copy_rows"):
            with pytest.raises(Killed):
                run(case.source, case.finished)
    assert run(case.source, case.finished)[1] >= N - case.broken - 1
    assert content(case.finished) == expected


def killed_at_the_end(case: Case, out: Path) -> Path:
    """A cache of which every file is done and nothing finished."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "finish", die)
        with pytest.raises(Killed):
            run(case.source, out)
    return out


def test_damaged_lines_are_passed_over(case: Case, tmp_path: Path) -> None:
    out = killed_at_the_end(case, tmp_path / "out")
    lines = (out / cache.PROGRESS).read_bytes().splitlines(keepends=True)
    whole = {i: line for i, line in enumerate(lines) if i and b"reason" not in line}
    first, second, third, *_ = whole
    lines[first] = lines[first][:20] + b"\0\xff\n"
    lines[second] = json.dumps(json.loads(lines[second]) | {"row": N}).encode() + b"\n"
    lines[third] = b'["row"]\n'
    (out / cache.PROGRESS).write_bytes(b"".join(lines) + b'{"row": 7, "sta')
    assert run(case.source, out)[1] == N - case.broken - 3
    check(case, out)


def test_pixels_cut_short_are_done_again(case: Case, tmp_path: Path) -> None:
    out = killed_at_the_end(case, tmp_path / "out")
    os.truncate(out / cache.PARTIAL, 1000)
    assert run(case.source, out)[1] == 0
    check(case, out)


def test_a_finished_cache_whose_progress_is_lost_is_not_prepared_anew_unasked(case: Case) -> None:
    (case.finished / cache.PROGRESS).unlink()
    assert len(load_dataset(case.finished).train)
    with pytest.raises(RunError, match=r"progress\.jsonl: missing or damaged, 0 files of 24 listed; expected .*--force"):
        run(case.source, case.finished)


DAMAGES = {
    "no class names": {"class_names": None},
    "class names of another kind": {"class_names": 3},
    "no summary": {"summary": None},
    "half a summary": {"summary": {"archive": "x"}},
    "preparation out of range": {"preparation": {"size": -1}},
}


@pytest.mark.parametrize("damage", [*DAMAGES, "no JSON", "a list", "bytes", "brackets"])
def test_a_damaged_manifest_is_named(case: Case, damage: str, cli: Call) -> None:
    path = case.finished / manifest.MANIFEST
    changed = json.loads(path.read_bytes()) | DAMAGES.get(damage, {})
    kept = json.dumps({name: value for name, value in changed.items() if value is not None}).encode()
    raw = {"no JSON": kept[:-9], "a list": b"[1]", "bytes": b"\xff\xfe\0", "brackets": b"[" * 100_000}
    path.write_bytes(raw.get(damage, kept))
    for use in (lambda: load_dataset(case.finished), lambda: run(case.source, case.finished)):
        with pytest.raises(DataError, match=r"cache\.json: damaged .*; expected .*--force"):
            use()
    told = cli("train", case.finished, "--out", case.finished.parent / "run")
    assert told.code == 2
    assert "damaged" in told.err


def test_a_cache_of_the_former_format_is_refused_by_name(case: Case) -> None:
    path = case.finished / manifest.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 1}))
    for use in (lambda: load_dataset(case.finished), lambda: run(case.source, case.finished)):
        with pytest.raises(DataError, match=r"cache of format 1; expected 3\. Prepare the images again, with --force"):
            use()


def test_parts_that_do_not_agree_are_refused(case: Case) -> None:
    path = case.finished / cache.CASES
    table = pd.read_parquet(path)
    for changed, reason in (
        (table.iloc[:-1], "expected one square of 16 bits"),
        (table.iloc[::-1], "cases out of order"),
        (table.assign(label="odd"), "labels odd; expected ill, well"),
        (table.drop(columns="patient"), "cannot be read"),
    ):
        changed.to_parquet(path, index=False)
        with pytest.raises(DataError, match=reason):
            load_dataset(case.finished)


def test_whatever_one_file_raises_is_listed_and_the_others_are_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = write_source(tmp_path / "source", 0), tmp_path / "out"
    read = workers.read_grayscale

    def moody(path: Path, window: int, frame: int | None) -> object:
        if path.name in ("4.dcm", "5.dcm"):
            raise {"4.dcm": KeyError, "5.dcm": RecursionError}[path.name](str(path))
        return read(path, window, frame)

    monkeypatch.setattr(workers, "read_grayscale", moody)
    result, _ = run(source, out)
    assert result.used == N - 2
    assert sorted(result.broken) == ["ill/4.dcm", "well/5.dcm"]
    assert result.broken["ill/4.dcm"].startswith("4.dcm: cannot be prepared (KeyError: ")
    assert str(tmp_path) not in str(result.broken)
    assert np.load(out / cache.IMAGES).shape == (N - 2, SIZE, SIZE)
