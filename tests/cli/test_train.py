"""``bayescope train``: what it asks for, and what it says."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from bayescope.cli import train
from bayescope.config import Config, parse_config
from bayescope.data.dataset import Dataset
from bayescope.data.filesystem.file_summary import FileSummary
from bayescope.errors import RunError
from cli.spies import answered
from conftest import Call, stripes

COMMAND = ("train", "data.npz", "--out", "run")


class Calls(NamedTuple):
    """What the command asked for."""

    load: list[dict[str, Any]]
    fit: list[dict[str, Any]]
    bars: list[dict[str, Any]]
    log: list[dict[str, Any]]
    joined: list[dict[str, Any]]
    watched: list[str]
    finished: list[tuple[object, ...]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tiny_data: Dataset) -> Calls:
    watched: list[str] = []
    finished: list[tuple[object, ...]] = []
    step, watch = (lambda progress, of=name: watched.append(f"{of} {progress}") for name in ("step", "log"))
    log = SimpleNamespace(watch=watch, finish=lambda *arguments: finished.append(arguments[:-1]))
    return Calls(
        answered(monkeypatch, "cli.train:load", tiny_data),
        answered(monkeypatch, "fitting.fit:fit_run"),
        answered(monkeypatch, "cli.train:training_bars", nullcontext((step, "scored"))),
        answered(monkeypatch, "tracking.loggers:training_log", nullcontext(log)),
        answered(monkeypatch, "diffusion.device:join_processes", SimpleNamespace(is_global_zero=True, local_rank=0)),
        watched,
        finished,
    )


def test_without_options_the_default_configuration_is_trained(cli: Call, asked: Calls, tiny_data: Dataset) -> None:
    told = cli(*COMMAND)
    given = {"size": None, "seed": 0, "normalise_labels": False, "strict": False, "unlabelled": None}
    assert asked.load == [{"data": Path("data.npz"), **given}]
    assert all(asked.load[0][name] is False for name in ("normalise_labels", "strict"))
    (call,) = asked.fit
    call.pop("watch")("progress")
    assert asked.watched == ["step progress", "log progress"]
    assert call == {
        "data": tiny_data,
        "config": Config(),
        "run": Path("run"),
        "resume": False,
        "checkpoint_every": 250,
        "scored": "scored",
        "data_path": Path("data.npz"),
        "force": False,
        "init": None,
    }
    assert asked.bars == [{"data": tiny_data, "config": Config(), "done": 0}]
    assert asked.log == [{"words": [], "config": Config(), "run": Path("run")}]
    assert asked.joined == [{"config": Config()}]
    assert asked.finished == []
    assert told.out == "Trained on 60 images of 2 classes: run\nNext: bayescope evaluate run data.npz\n"
    assert (told.code, told.err) == (0, "")


def test_options_are_passed_on(cli: Call, asked: Calls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    loaded = answered(monkeypatch, "runs.model_file:load_model", "other model")
    steps = answered(monkeypatch, "runs.folder:started_steps", 12)
    (tmp_path / "c.toml").write_text("size = 16\nseed = 9\n[training]\nbatch_size = 7\n[evidence]\nnoises = 3\n")
    numbers = ("--steps", 30, "--levels", 5, "--size", 8, "--seed", 3, "--device", "cpu", "--checkpoint-every", 4)
    paths = ("--config", tmp_path / "c.toml", "--unlabelled", "more", "--init", "other")
    processes = ("--devices", 2, "--nodes", 3, "--strategy", "ddp")
    loggers = ("--logger", "tensorboard", "--logger", "mlflow")
    cli(*COMMAND, *numbers, *paths, *processes, *loggers, "--resume", "--force", "--normalise-labels", "--strict")
    given = {"size": 8, "seed": 3, "normalise_labels": True, "strict": True, "unlabelled": Path("more")}
    assert asked.load == [{"data": Path("data.npz"), **given}]
    (call,) = asked.fit
    expected = {"size": 8, "seed": 3, "device": "cpu", "training": {"steps": 30, "batch_size": 7}}
    expected |= {"devices": 2, "nodes": 3, "strategy": "ddp"}
    assert call["config"] == parse_config({**expected, "evidence": {"levels": 5, "noises": 3}})
    assert (call["resume"], call["force"], call["checkpoint_every"], call["init"]) == (True, True, 4, "other model")
    assert [loaded_from["run"] for loaded_from in loaded] == [Path("other")]
    assert [of["run"] for of in steps] == [Path("run")]
    assert asked.bars[0]["done"] == 12
    assert asked.joined == [{"config": call["config"]}]
    assert asked.log == [{"words": ["tensorboard", "mlflow"], "config": call["config"], "run": Path("run")}]
    assert asked.finished == [(call["data"], Path("data.npz"), True)]


def test_other_processes_keep_silent_and_log_nothing(cli: Call, asked: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = answered(monkeypatch, "cli.train:leave_to_first_process")
    for local_rank in (0, 1):
        process = SimpleNamespace(is_global_zero=False, local_rank=local_rank)
        answered(monkeypatch, "diffusion.device:join_processes", process)
        assert cli(*COMMAND, "--devices", 2, "--logger", "tensorboard").code == 0
    assert [call["speaks_of_errors"] for call in silent] == [True, False]
    assert ([call["words"] for call in asked.log], asked.finished, len(asked.fit)) == ([[], []], [], 2)


def test_training_is_resumed_with_its_own_configuration(
    cli: Call, asked: Calls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answered(monkeypatch, "runs.folder:started_steps", 12)
    (tmp_path / "config.toml").write_text("seed = 9\n")
    words = ("train", "data.npz", "--out", tmp_path)
    cli(*words, "--resume")
    cli(*words)
    cli("train", "data.npz", "--out", tmp_path / "new", "--resume")
    assert [call["config"].seed for call in asked.fit] == [9, 0, 0]


def test_an_unknown_word_is_refused_before_images_are_read(cli: Call, asked: Calls, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[training]\noptimizer = 'none'\n")
    assert (cli(*COMMAND, "--config", tmp_path / "c.toml").code, asked.load, asked.fit) == (2, [], [])


def test_images_without_labels_are_counted(
    cli: Call, asked: Calls, monkeypatch: pytest.MonkeyPatch, tiny_data: Dataset
) -> None:
    more = replace(tiny_data, unlabelled=tiny_data.val)
    answered(monkeypatch, "cli.train:load", more)
    assert "Trained on 60 images of 2 classes and 30 without labels: run" in cli(*COMMAND).out


@pytest.mark.parametrize(("labels", "warned"), [([0, 1], False), ([1, 1], True), ([0, 0], True), ([], True)])
def test_a_class_without_a_validation_image_is_warned_of(
    cli: Call, asked: Calls, monkeypatch: pytest.MonkeyPatch, tiny_data: Dataset, labels: list[int], warned: bool
) -> None:
    val = replace(stripes(len(labels), 2), labels=np.array(labels, dtype=np.int64))
    answered(monkeypatch, "cli.train:load", replace(tiny_data, val=val))
    told = cli(*COMMAND)
    counts = [labels.count(0), labels.count(1)]
    assert (told.code, f"validation images per class: {counts}; expected some of each" in told.err) == (0, warned)


@pytest.mark.parametrize(
    ("steps", "kept"),
    [
        (7, "run has step 7; continue with the same command and --resume"),
        (0, "run has no checkpoint yet (--checkpoint-every); start again with --force"),
        (RunError("no run"), "run has no checkpoint yet (--checkpoint-every); start again with --force"),
    ],
)
def test_an_interrupt_tells_what_is_kept(
    cli: Call, asked: Calls, monkeypatch: pytest.MonkeyPatch, steps: object, kept: str
) -> None:
    answered(monkeypatch, "fitting.fit:fit_run", KeyboardInterrupt())
    found = answered(monkeypatch, "runs.folder:started_steps", steps)
    told = cli(*COMMAND)
    assert (told.code, told.err) == (130, f"interrupted: {kept}\n")
    assert found == [{"run": Path("run")}]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, tiny_data: Dataset) -> dict[str, list[dict[str, Any]]]:
    """What ``load`` asks for; the counters are named by their titles."""

    @contextmanager
    def counter(title: str) -> Iterator[str]:
        yield title

    monkeypatch.setattr(train, "counter", counter)
    return {
        "load": answered(monkeypatch, "data.load:load_dataset", tiny_data),
        "more": answered(monkeypatch, "data.unlabelled:with_unlabelled", replace(tiny_data, unlabelled=tiny_data.val)),
        "copies": answered(monkeypatch, "data.copies:overlaps", ("two alike",)),
        "warned": answered(monkeypatch, "cli.train:report_warnings"),
    }


def test_data_are_read_and_searched_for_copies(read: dict[str, list[dict[str, Any]]], tiny_data: Dataset) -> None:
    found = train.load(Path("a"), 8, 3)
    (call,) = read["load"]
    assert list(call.values()) == [Path("a"), 8, 3, "reading images", False]
    assert read["copies"] == [{"data": tiny_data}]
    assert read["warned"] == [{"warnings": ("two alike",), "strict": False}]
    assert (found.warnings, found.unlabelled, read["more"]) == (("two alike",), None, [])
    assert read["warned"][0]["strict"] is False
    assert call["normalise_labels"] is False


def test_images_without_labels_are_read_too(read: dict[str, list[dict[str, Any]]], tiny_data: Dataset) -> None:
    found = train.load(Path("a"), 8, 3, True, True, Path("b"))
    assert read["load"][0]["normalise_labels"] is True
    (more,) = read["more"]
    assert list(more.values())[:4] == [tiny_data, Path("b"), 8, "reading images without labels"]
    assert found.unlabelled is tiny_data.val
    assert read["warned"] == [{"warnings": ("two alike",), "strict": True}]


@pytest.mark.parametrize(("left_out", "style"), [({}, "dim"), ({".gif is not read": 2}, "yellow")])
def test_files_of_a_folder_are_counted(
    read: dict[str, list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    tiny_data: Dataset,
    left_out: dict[str, int],
    style: str,
) -> None:
    complaints = answered(monkeypatch, "cli.train:complain")
    train.load(Path("a"), None, 0)
    assert complaints == []
    files = FileSummary(62, left_out)
    answered(monkeypatch, "data.load:load_dataset", replace(tiny_data, files=files, warnings=("blank",)))
    assert train.load(Path("a"), None, 0).warnings == ("blank", "two alike")
    assert complaints == [{"text": f"a: {files}", "style": style}]


def test_help_of_what_overrides_names_the_key(cli: Call) -> None:
    text = " ".join(cli("train", "--help").out.replace("│", " ").split())
    for key in ("training.steps", "evidence.levels", "size", "seed", "device", "devices", "nodes", "strategy"):
        assert f"Overrides `{key}` of" in text
