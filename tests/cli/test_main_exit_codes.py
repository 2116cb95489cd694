"""How a command ends that meets the unexpected, and what --force leaves alone."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bayescope.inference.model import LikelihoodModel
from conftest import Call


@pytest.fixture
def image(tmp_path: Path) -> Path:
    Image.fromarray(np.full((8, 12), 99, np.uint8)).save(tmp_path / "image.png")
    return tmp_path / "image.png"


def fails(error: BaseException) -> object:
    def fail(*positional: object, **named: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (
            ZeroDivisionError("by zero"),
            70,
            "error: unexpected ZeroDivisionError: by zero\nRun again with --debug and report this",
        ),
        (OSError(28, "No space left on device"), 2, "error: [Errno 28] No space left on device; expected folders that exist"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_exit_codes_of_what_is_raised(
    cli: Call, tiny_run: Path, image: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, text: str
) -> None:
    monkeypatch.setattr(LikelihoodModel, "classify", fails(error))
    told = cli("classify", tiny_run, image)
    assert told.code == code
    assert text in told.err


def test_debug_shows_the_traceback(cli: Call, tiny_run: Path, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LikelihoodModel, "classify", fails(ZeroDivisionError("by zero")))
    with pytest.raises(ZeroDivisionError, match="by zero"):
        cli("classify", tiny_run, image, "--debug")


def test_force_replaces_a_run_and_spares_what_else_lies_there(
    cli: Call, tiny_npz: Path, config_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    train = ("train", tiny_npz, "--config", config_file, "--steps", 3, "--out", out)
    assert cli(*train).code == 0
    (out / "notes.txt").write_text("mine")
    (out / "more").mkdir()
    (out / "more" / "notes.txt").write_text("mine")
    before = (out / "model.safetensors").stat().st_mtime_ns
    assert cli(*train, "--force").code == 0
    assert (out / "model.safetensors").stat().st_mtime_ns != before
    assert (out / "notes.txt").read_text() == (out / "more" / "notes.txt").read_text() == "mine"


def prepare_command(source: Path, out: Path) -> tuple[object, ...]:
    """What prepares four images, written into class folders of ``source``, for testing."""
    for i in range(4):
        (source / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.arange(i, i + 64, dtype=np.uint8).reshape(8, 8)).save(source / "ab"[i % 2] / f"{i}.png")
    return ("prepare", "folder", source, "--size", 8, "--split", "test", "--workers", 1, "--out", out)


@pytest.mark.slow
def test_force_leaves_a_cache_whole_that_holds_other_files_too(cli: Call, tmp_path: Path) -> None:
    out = tmp_path / "cache"
    prepare = prepare_command(tmp_path / "source", out)
    assert cli(*prepare).code == 0
    assert cli(*prepare, "--force").code == 0
    (out / "notes.txt").write_text("mine")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert cli(*prepare, "--force").code == 2
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.slow
def test_force_replaces_a_cache_killed_before_it_was_published(cli: Call, tmp_path: Path) -> None:
    out = tmp_path / "cache"
    prepare = prepare_command(tmp_path / "source", out)
    assert cli(*prepare).code == 0
    (out / "cache.json").rename(out / ".cache.json")
    assert cli(*prepare, "--force").code == 0
    assert sorted(path.name for path in out.iterdir()) == ["cache.json", "cases.parquet", "images.npy", "progress.jsonl"]
