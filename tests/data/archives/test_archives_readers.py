"""The readers by name: what is suggested is taken, and an archive added from outside is prepared as the built-in ones are."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bayescope.data.archives import ARCHIVES, Reader, mias, read_archive
from bayescope.data.archives.base import Archive, birads_groups
from bayescope.data.archives.cbis_ddsm import TASKS
from bayescope.data.archives.image_folder import read_image_folder
from bayescope.data.load import load_dataset
from bayescope.data.preparation.prepare import prepare_archive
from bayescope.data.splits import Split
from bayescope.errors import ConfigError, DataError
from conftest import Call


def read_toy(source: Path, task: str, split: Split) -> Archive:
    """One CSV file is the whole archive; its task is a column of labels."""
    table = source / "cases.csv"
    rows = [line.split(",") for line in (source / "toy.csv").read_text().splitlines()]
    lines = [f"{name},{dict(zip(('size', 'shape'), labels, strict=True))[task]},{patient}" for name, patient, *labels in rows]
    table.write_text("\n".join(["path,label,patient", *lines]))
    return read_image_folder(table, split.seed)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive of a kind that Bayescope does not know, and its reader among the others."""
    monkeypatch.setitem(ARCHIVES, "toy", Reader(read_toy, ("size", "shape"), "official"))
    source, rng = tmp_path / "toy", np.random.default_rng(0)
    source.mkdir()
    for i in range(40):
        Image.fromarray(rng.integers(0, 255, (12, 12), dtype=np.uint8)).save(source / f"{i}.png")
    rows = [f"{i}.png,p{i},{('small', 'large')[i % 2]},{('round', 'square')[i // 2 % 2]}" for i in range(40)]
    (source / "toy.csv").write_text("\n".join(rows))
    return source


@pytest.mark.slow
@pytest.mark.usefixtures("one_process")
def test_an_archive_added_from_outside_is_prepared_by_the_command(toy: Path, tmp_path: Path, cli: Call) -> None:
    by_command, by_call = tmp_path / "command", tmp_path / "call"
    words = ("prepare", "toy", toy, "--size", 8, "--workers", 1)
    told = cli(*words, "--out", by_command, "--task", "shape", "--seed", 3)
    assert told.code == 0, told.err
    seen: list[tuple[int, int]] = []
    result = prepare_archive("toy", toy, by_call, 8, "shape", seed=3, workers=1, callback=lambda *done: seen.append(done))
    assert (result.used, result.unchanged, seen[-1]) == (40, False, (40, 40))
    data = load_dataset(by_command)
    assert data.class_names == ("round", "square")
    assert data.fingerprint == load_dataset(by_call).fingerprint
    assert "no --task; expected one, such as: size, shape" in cli(*words, "--out", tmp_path / "none").err
    assert (
        "expected one of cbis-ddsm, inbreast, mias, vindr, toy, folder" in cli("prepare", "tory", *words[2:], "--out", toy).err
    )


@pytest.mark.slow
@pytest.mark.usefixtures("one_process")
def test_a_warning_may_stop_before_the_old_cache_is_removed(toy: Path, tmp_path: Path) -> None:
    out = tmp_path / "cache"
    prepare_archive("toy", toy, out, 8, "size", workers=1)
    before = load_dataset(out).fingerprint

    def refuse(warnings: object) -> None:
        raise DataError(str(warnings))

    with pytest.raises(DataError):
        prepare_archive("toy", toy, out, 9, "size", workers=1, force=True, warned=refuse)
    assert load_dataset(out).fingerprint == before
    prepare_archive("toy", toy, out, 9, "size", workers=1, force=True)
    assert load_dataset(out).train.image_shape == (1, 9, 9)


def test_suggested_tasks_are_taken() -> None:
    assert ARCHIVES["cbis-ddsm"].tasks == TASKS
    assert ARCHIVES["mias"].tasks == mias.TASKS
    for kind, highest in (("inbreast", 6), ("vindr", 5)):
        for task in ARCHIVES[kind].tasks:
            assert len(set(birads_groups(task, highest).values())) == 2


@pytest.mark.parametrize("kind", ["cbis-ddsm", "inbreast", "vindr"])
def test_readers_are_imported_when_they_read(kind: str, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        read_archive(kind, tmp_path, ARCHIVES[kind].tasks[0])
    with pytest.raises(ConfigError, match="Add --split folds"):
        read_archive(kind, tmp_path, ARCHIVES[kind].tasks[0], "official", fold=1)


def test_names_of_archives_cost_no_table_library() -> None:
    subprocess.run(
        [sys.executable, "-c", "import sys, bayescope.data.archives; assert 'pandas' not in sys.modules"], check=True
    )
