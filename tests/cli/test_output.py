"""Output in any encoding and to any stream: nothing is lost for what it is printed to."""

import codecs
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from bayescope.cli import main, output
from bayescope.data.dataset import Dataset
from bayescope.errors import RunError
from bayescope.runs.files import write_text
from cli.spies import remembered

ENCODINGS = ["cp1252", "cp437", "latin-1", "ascii", "koi8-r", "shift_jis", "utf-8", "utf-16", "cp037"]

SLOW = [
    "evaluation.folds:evaluate_folds",
    "evaluation.explanation_files:explanation_files",
    "fitting.fit:fit_run",
    "inference.explain:explain",
    "inference.likelihood:exact_likelihood",
    "inference.trained:TrainedModel.sample",
]
LOST = "standard output: cannot be written (No space left"
BOTH = """
import ast, sys
from bayescope.cli.main import run
for words in map(ast.literal_eval, sys.argv[1:]):
    sys.argv = ["bayescope", *words]
    try:
        run()
    except SystemExit as ended:
        print("ended with", ended.code, file=sys.stderr)
    sys.stdout = open("/dev/full", "w")  # the first is given up
"""
"""Runs two commands, each with its exit code on standard error: libraries are imported once."""


class Stream(io.TextIOWrapper):
    """A standard stream of an encoding, strict as a redirected one is on Windows."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, errors="strict", write_through=True)

    @property
    def text(self) -> str:
        return self.buffer.getvalue().decode(self.encoding)  # type: ignore[attr-defined]


def run(monkeypatch: pytest.MonkeyPatch, encoding: str, *arguments: object) -> tuple[int, str, str]:
    out, err = Stream(encoding), Stream(encoding)
    monkeypatch.setattr(sys, "argv", ["bayescope", *map(str, arguments)])
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert (out.errors, err.errors) == ("strict", "strict")
    return int(ended.value.code or 0), out.text, err.text


@pytest.fixture
def odd_picture(tiny_data: Dataset, tmp_path: Path) -> Path:
    """A picture in a folder whose names hold a byte that is no UTF-8, accents and a sign of no code page."""
    folder = tmp_path / os.fsdecode(b"caf\xe9 \xe2\x82\xac") / "Größe σ 病"
    folder.mkdir(parents=True)
    Image.fromarray(tiny_data.test.pixels[0, 0]).save(folder / "a b.png")
    return folder / "a b.png"


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """What is worked out for the first encoding only."""
    return {}


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.usefixtures("few_draws")
def test_every_command_prints_in_every_encoding(
    monkeypatch: pytest.MonkeyPatch,
    tiny_run: Path,
    tiny_npz: Path,
    config_file: Path,
    odd_picture: Path,
    results: dict[str, Any],
    encoding: str,
) -> None:
    folder = odd_picture.parent
    for command in (
        ("evaluate", tiny_run, tiny_npz),
        ("evaluate", tiny_run, tiny_npz, "--json"),
        ("classify", tiny_run, odd_picture),
        ("classify", tiny_run, odd_picture, "--json"),
        ("likelihood", tiny_run, odd_picture, "--solver", "heun", "--steps", 1),
        ("explain", tiny_run, odd_picture, "--out", folder / "why"),
        ("sample", tiny_run, "--out", folder / "s.png", "--per-class", 1, "--steps", 1),
        ("train", tiny_npz, "--out", folder / "run", "--config", config_file, "--steps", 2),
    ):
        with monkeypatch.context() as patch:
            for slow in SLOW:
                remembered(patch, slow, results, slow)
            code, out, err = run(patch, encoding, *command)
        assert (code, "unexpected" in err) == (0, False), (command, err)
        if "--json" in command:
            assert json.loads(out)
            assert out.isascii()
    code, _, err = run(monkeypatch, encoding, "classify", tiny_run, folder / "σ – nowhere.png")
    assert (code, "nowhere.png" in err) == (1, True)
    assert run(monkeypatch, encoding, "evaluate", folder / "σ", tiny_npz)[0] == 2
    assert run(monkeypatch, encoding, "evaluate", "--help")[0] == 0
    assert run(monkeypatch, encoding, "evaluate", "--σ–病")[0] == 2  # what Typer itself prints


def test_what_an_encoding_lacks_is_written_alike_and_keeps_its_columns(
    monkeypatch: pytest.MonkeyPatch, tiny_run: Path, odd_picture: Path
) -> None:
    monkeypatch.setattr(output.console, "width", 400)
    code, out, _ = run(monkeypatch, "ascii", "classify", tiny_run, odd_picture)
    assert code == 0
    assert "LLR +/- standard error" in out
    assert r"caf\xe9 \u20ac/Gr\xf6\xdfe sigma \u75c5/a b.png" in out
    assert len({len(line) for line in out.splitlines() if line.startswith("|")}) == 1
    assert "é €" not in run(monkeypatch, "utf-8", "classify", tiny_run, odd_picture)[1]
    assert r"caf\xe9 €/Größe σ 病/a b.png" in run(monkeypatch, "utf-8", "classify", tiny_run, odd_picture)[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.1 ± 0.2 – σ ≥ 3 × 4 … ≤", "0.1 +/- 0.2 - sigma >= 3 x 4 ... <="),
        ("\udcff\udc80", r"\xff\x80"),
        ("\ud800😀", r"\ud800\U0001f600"),
    ],
)
def test_ascii_for_what_cannot_be_encoded(text: str, expected: str) -> None:
    assert text.encode("ascii", output._IN_ASCII) == expected.encode()
    with pytest.raises(UnicodeDecodeError):
        codecs.decode(b"\xff", "utf-8", output._IN_ASCII)


@pytest.mark.slow
@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "cp1252:strict"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}])
def test_a_real_process_in_a_narrow_place(tiny_run: Path, tiny_npz: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    narrow = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "20", "HOME": str(tmp_path / "no home")}
    command = [sys.executable, "-c", "from bayescope.cli.main import run; run()", "evaluate", str(tiny_run), str(tiny_npz)]
    result = subprocess.run(command, env=os.environ | narrow | environment, capture_output=True, timeout=100)
    assert result.returncode == 0, result.stderr
    assert b"balanced accuracy" in result.stdout


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_measures_are_kept_where_printing_fails(tiny_run: Path, tiny_npz: Path, tmp_path: Path) -> None:
    kept = [tmp_path / "measures.json", tmp_path / "again.json"]
    command = ["evaluate", str(tiny_run), str(tiny_npz), "--out"]
    with open("/dev/full", "w") as full:  # noqa: PTH123
        result = subprocess.run(
            [sys.executable, "-c", BOTH, repr([*command, str(kept[0])]), repr([*command, str(kept[1]), "--json"])],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=100,
            text=True,
        )
    assert (result.stderr.count("ended with 2\n"), result.stderr.count(LOST)) == (2, 2), result.stderr
    assert all(json.loads(path.read_text())["measures"]["AUC"]["value"] > 0.9 for path in kept)


class Full(Stream):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_no_work_is_given_up_for_standard_error(
    monkeypatch: pytest.MonkeyPatch, tiny_npz: Path, config_file: Path, tmp_path: Path
) -> None:
    out = Stream("utf-8")
    monkeypatch.setattr(
        sys, "argv", ["bayescope", "train", str(tiny_npz), "--out", str(tmp_path / "run"), "--config", str(config_file)]
    )
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", Full("utf-8"))
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert (ended.value.code or 0, "Trained on" in out.text) == (0, True)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_stream_that_is_closed(monkeypatch: pytest.MonkeyPatch, tiny_run: Path, tiny_npz: Path, stream: str) -> None:
    monkeypatch.setattr(sys, "argv", ["bayescope", "evaluate", str(tiny_run), str(tiny_npz), "--json"])
    monkeypatch.setattr(sys, stream, None)
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert not ended.value.code


@pytest.mark.slow
def test_what_is_printed_can_also_be_kept(cli: Any, tiny_run: Path, tiny_npz: Path, odd_picture: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    for command in (("evaluate", tiny_run, tiny_npz), ("classify", tiny_run, odd_picture, odd_picture)):
        printed = cli(*command, "--json", "--out", kept)
        assert (printed.code, printed.out) == (0, kept.read_text())
        before = kept.read_bytes()
        refused = cli(*command, "--out", kept)
        assert (refused.code, refused.out, "exists already; give --force" in refused.err) == (2, "", True)
        assert kept.read_bytes() == before
        table = cli(*command, "--out", kept, "--force")
        assert (table.code, "{" in table.out, kept.read_bytes() == before) == (0, False, True)
        kept.unlink()


@pytest.mark.slow
@pytest.mark.usefixtures("shrunken_demo")
def test_results_are_written_before_they_are_printed(
    cli: Any, monkeypatch: pytest.MonkeyPatch, tiny_run: Path, odd_picture: Path, tmp_path: Path
) -> None:
    def fails(*_: object) -> None:
        raise RunError("no printing")

    monkeypatch.setattr("bayescope.cli.explain.say", fails)
    assert cli("explain", tiny_run, odd_picture, "--out", tmp_path / "why").code == 2
    assert len(list((tmp_path / "why").iterdir())) == 4
    monkeypatch.setattr("bayescope.cli.demo.show", fails)
    assert cli("demo", "--out", tmp_path / "demo", "--steps", 2).code == 2
    assert {"report.html", "measures.json", "model.safetensors"} <= {path.name for path in (tmp_path / "demo").iterdir()}


@pytest.mark.parametrize("step", [0, 5])
def test_an_interrupt_tells_what_is_kept_and_how_to_go_on(
    cli: Any, monkeypatch: pytest.MonkeyPatch, tiny_npz: Path, config_file: Path, tmp_path: Path, step: int
) -> None:
    class Interrupting:
        def __enter__(self) -> Any:
            return SimpleNamespace(watch=lambda progress: interrupt(progress.state.step))

        def __exit__(self, *_: object) -> None:
            return None

    def interrupt(at: int) -> None:
        if at > step:
            raise KeyboardInterrupt

    run = tmp_path / "run"
    command = ("train", tiny_npz, "--out", run, "--config", config_file, "--checkpoint-every", 5)
    with monkeypatch.context() as patch:
        patch.setattr("bayescope.tracking.loggers.training_log", lambda words, config, run: Interrupting())
        result = cli(*command)
    assert result.code == 130
    option = "--resume" if step else "--force"
    assert ("has step 5; continue" if step else "has no checkpoint yet") in result.err
    assert option in result.err
    assert cli(*command, option).code == 0


def test_a_folder_that_was_deleted(cli: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    result = cli("--version")
    monkeypatch.chdir(tmp_path)
    assert (result.code, "current folder cannot be used" in result.err) == (2, True)
    assert cli("--version").code == 0


def test_a_page_holds_names_that_are_no_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "a.html", "caf\udce9 é σ")
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == r"caf\udce9 é σ"


def test_errors_are_in_characters_of_their_own_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    err = Stream("ascii")
    monkeypatch.setattr(output, "errors", Console(file=err))
    output.complain("at σ = 1")
    assert err.text.startswith("at ")
