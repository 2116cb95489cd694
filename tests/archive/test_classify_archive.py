"""Classification of an archive: the rows of the images read at once, whatever the blocks, the engine and interruptions."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from bayescope.archive import classify
from bayescope.archive.blocks import BlockClassifier
from bayescope.archive.classify import ArchiveResult, classify_archive
from bayescope.archive.ledger import Ledger
from bayescope.data.dataset import Dataset
from bayescope.engines import ENGINES
from bayescope.engines.engine import Engine
from bayescope.errors import RunError
from bayescope.inference.read import read_for_model
from bayescope.runs.model_file import load_model
from conftest import Call

N = 11


class Killed(BaseException):
    """Like a kill, nobody catches it."""


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classify, "images_per_block", lambda model: 3)


@pytest.fixture
def folder(tmp_path: Path, pictures: list[bytes]) -> Path:
    """Images, and one that is broken."""
    found = tmp_path / "images"
    found.mkdir()
    for i, content in enumerate(pictures[:N]):
        (found / f"{i:02d}.png").write_bytes(content)
    (found / "04.png").write_bytes(b"broken")
    (found / "notes.txt").write_text("no image")
    return found


def rows_of(out: Path) -> list[dict[str, Any]]:
    return pq.read_table(out).to_pylist()


def run_on(run: Path, source: Path | str, out: Path, **options: Any) -> ArchiveResult:
    return classify_archive(run, [str(source)], out, **options)


def test_rows_are_the_records_of_the_images(tiny_run: Path, folder: Path, tmp_path: Path) -> None:
    out, seen = tmp_path / "answers.parquet", list[tuple[int, int]]()
    result = run_on(tiny_run, folder, out, callback=lambda done, total: seen.append((done, total)))
    rows = rows_of(out)
    assert (result.images, result.errors, result.files.left_out) == (N, 1, {".txt is not read": 1})
    assert seen == [(0, N), (3, N), (6, N), (9, N), (N, N)]
    assert [Path(row["image"]).name for row in rows] == [f"{i:02d}.png" for i in range(N)]
    broken = rows.pop(4)
    assert "04.png: cannot be read as an image" in broken["error"]
    assert broken["posterior"] is None
    model = load_model(tiny_run)
    images = read_for_model(model, [folder])
    predictions = model.classify(images.pixels, trust_tests=True)
    for row, record in zip(rows, predictions.records(model, images.names, images.remarks), strict=True):
        assert row.pop("error") is None
        assert {name for name in row if name != "seen"} == {name for name in record if name != "seen"}
        for name in ("image", "class", "passes", "calibrated", "warnings", "prediction_set"):
            assert row[name] == record[name]
        assert row["log_likelihood_ratio"] == pytest.approx(record["log_likelihood_ratio"], rel=1e-4, abs=1e-4)
    assert not Ledger(out).folder.exists()


def test_a_job_killed_at_any_block_goes_on_and_repeats_none(
    tiny_run: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole.parquet", tmp_path / "answers.parquet"
    run_on(tiny_run, folder, whole)
    write, written = Ledger.write, list[int]()

    def write_once(ledger: Ledger, block: int, columns: dict[str, Any]) -> None:
        write(ledger, block, columns)
        written.append(block)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "write", write_once)
        for _ in range(4):
            with pytest.raises(Killed):
                run_on(tiny_run, folder, out)
    assert written == [0, 1, 2, 3]
    monkeypatch.setattr(BlockClassifier, "__init__", lambda *arguments: pytest.fail("nothing is left to do"))
    run_on(tiny_run, folder, out)
    assert pq.read_table(out).equals(pq.read_table(whole))


def test_parts_of_another_job_are_not_mixed_in(
    tiny_run: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "answers.parquet"
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "merge", lambda ledger, blocks: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            run_on(tiny_run, folder, out)
    with pytest.raises(RunError, match="other images, options or models"):
        run_on(tiny_run, folder, out, class_prior=(0.1, 0.9))
    run_on(tiny_run, folder, out, class_prior=(0.1, 0.9), force=True)
    assert rows_of(out)[0]["prevalence"] == pytest.approx({"upper": 0.1, "lower": 0.9})
    with pytest.raises(RunError, match="exists already"):
        run_on(tiny_run, folder, out)


@pytest.fixture
def remote(folder: Path) -> Iterator[str]:
    """The folder at an address."""
    memory = fsspec.filesystem("memory")
    for path in folder.iterdir():
        memory.pipe_file(f"/archive/{path.name}", path.read_bytes())
    yield "memory://archive"
    memory.rm("/archive", recursive=True)


def test_files_at_an_address_are_classified_as_those_on_disk(tiny_run: Path, folder: Path, remote: str, tmp_path: Path) -> None:
    here, there = tmp_path / "here.parquet", tmp_path / "there.parquet"
    run_on(tiny_run, folder, here)
    assert run_on(tiny_run, remote, there).errors == 1
    a, b = pq.read_table(here), pq.read_table(there)
    assert a.drop(["image", "error"]).equals(b.drop(["image", "error"]))
    assert b["image"].to_pylist() == [f"memory:///archive/{i:02d}.png" for i in range(N)]
    assert b["error"][4].as_py().startswith("memory:///archive/04.png: cannot be read as an image")


def test_a_table_names_files_here_and_elsewhere_and_missing_ones_are_rows(
    tiny_run: Path, folder: Path, remote: str, tmp_path: Path
) -> None:
    table, out = tmp_path / "paths.parquet", tmp_path / "answers.parquet"
    pd.DataFrame({"path": ["images/00.png", f"{remote}/01.png", f"{remote}/gone.png", "images/gone.png"]}).to_parquet(table)
    assert run_on(tiny_run, table, out).errors == 2
    errors = {row["image"]: row["error"] for row in rows_of(out)}
    assert errors[str(folder / "00.png")] is None
    assert errors[f"{remote}/01.png"] is None
    assert "cannot be reached (FileNotFoundError" in errors[f"{remote}/gone.png"]
    assert "cannot be read" in errors[str(folder / "gone.png")]
    assert list(errors) == sorted(errors)


def test_a_cache_gives_the_images_of_its_split(prepared_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "answers.parquet"
    result = run_on(prepared_run, prepared_run.parent / "cache", out, split="all")
    names = [row["image"] for row in rows_of(out)]
    assert len(names) == result.images == 28
    assert names == sorted(names)
    assert result.seen["train"] > result.seen["val"] > 0


def test_memory_is_bounded_by_pixels(tiny_run: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bayescope.archive.blocks._PIXELS", 2 * 8 * 12)
    monkeypatch.setattr(classify, "images_per_block", lambda model: 100)
    sizes, records = list[int](), BlockClassifier._records

    def counted(worker: BlockClassifier, names: list[str], pixels: np.ndarray, remarks: Any) -> Any:
        sizes.append(len(pixels))
        return records(worker, names, pixels, remarks)

    monkeypatch.setattr(BlockClassifier, "_records", counted)
    run_on(tiny_run, folder, tmp_path / "answers.parquet")
    assert sizes == [2, 2, 2, 2, 2]


class LastFirst(Engine):
    """An engine from outside, which does tasks in another order."""

    def run(self, make_worker: Callable[[], Callable[[Any], Any]], tasks: Sequence[Any]) -> Iterator[Any]:
        worker = make_worker()
        return map(worker, reversed(tasks))


def test_another_engine_is_a_class_and_a_line(
    tiny_run: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENGINES, "last first", LastFirst)
    here, there = tmp_path / "here.parquet", tmp_path / "there.parquet"
    run_on(tiny_run, folder, here)
    run_on(tiny_run, folder, there, engine="last first")
    assert pq.read_table(here).equals(pq.read_table(there))


def test_a_folder_in_a_table_is_a_row_with_its_error(tiny_run: Path, folder: Path, tmp_path: Path) -> None:
    table, out = tmp_path / "paths.csv", tmp_path / "answers.parquet"
    table.write_text("path\nimages\nimages/00.png\n")
    assert run_on(tiny_run, table, out).errors == 1
    assert [row["error"] is None for row in rows_of(out)] == [False, True]


@pytest.mark.slow
def test_worker_processes_give_the_same_to_the_last_bit(tiny_run: Path, folder: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    run_on(tiny_run, folder, one)
    run_on(tiny_run, folder, two, workers=2)
    assert pq.read_table(one).equals(pq.read_table(two))


def test_the_command_writes_parquet_and_ends_with_one_where_files_are_broken(
    cli: Call, tiny_run: Path, tiny_data: Dataset, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "answers.parquet"
    told = cli("classify", tiny_run, folder, "--out", out, "--prevalence", "upper=0.2,lower=0.8")
    assert told.code == 1
    assert f"Classified {N} images: {out}" in told.out
    assert "1 files could not be read" in told.err
    assert rows_of(out)[0]["prevalence"] == pytest.approx(dict(zip(tiny_data.class_names, (0.2, 0.8), strict=True)))
    without = cli("classify", tiny_run, folder, "--engine", "local")
    assert "expected --engine, --address, --workers only with a .parquet --out" in without.err
    blocks = cli("classify", tiny_run, folder, "--out", tmp_path / "b.parquet", "--any", "upper")
    assert (blocks.code, "--any without --by" in blocks.err) == (2, True)
    assert "--sr with a .parquet --out" in cli("classify", tiny_run, folder, "--out", tmp_path / "b.parquet", "--sr", "x").err
