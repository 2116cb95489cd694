"""What users name, ask for and lack: printed as it is, or refused before anything is lost."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bayescope.cli import main, output
from bayescope.config import Config, dump_toml, parse_config
from bayescope.data.dataset import Dataset
from bayescope.errors import ConfigError, RunError
from bayescope.runs import files
from bayescope.runs.files import STATE, load_tensors
from bayescope.runs.model_file import load_model, save_model
from conftest import write_npz

no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


@pytest.fixture
def picture(tiny_data: Dataset, tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    Image.fromarray(tiny_data.test.pixels[0, 0]).save(path)
    return path


def test_an_image_given_twice_is_answered_twice(cli: Any, tiny_run: Path, picture: Path) -> None:
    result = cli("classify", tiny_run, picture, picture, "--json")
    assert result.code == 0
    first, second = result.out.splitlines()
    assert first == second
    result = cli("likelihood", tiny_run, picture, picture, "--json", "--solver", "heun", "--steps", 1)
    assert (result.code, len(result.out.splitlines())) == (0, 2)


@pytest.mark.parametrize("name", ["s[left].png", "s[/x].png", "[red]s.png"])
def test_names_are_no_markup(
    cli: Any, tiny_run: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(output.console, "width", 240)
    monkeypatch.chdir(tmp_path)
    named = Path(name)
    named.parent.mkdir(exist_ok=True)
    picture.rename(named)
    run = tmp_path / "run"
    save_model(run, replace(load_model(tiny_run), class_names=("[b]upper[/b]", "lower[/]")))
    for command in ("classify", "likelihood"):
        result = cli(command, run, named, *(("--solver", "heun", "--steps", 1) if command == "likelihood" else ()))
        assert result.code == 0
        assert f" {name} " in result.out
        assert "[b]upper[/b]" in result.out
    out = tmp_path / "o[/x]" / "s.png"
    out.parent.mkdir(parents=True)
    result = cli("sample", run, "--out", out, "--per-class", 1, "--steps", 1)
    assert (result.code, result.out) == (0, f"{out}: rows [b]upper[/b], lower[/]\n")


@pytest.mark.slow
@pytest.mark.usefixtures("few_cases")
def test_long_paths_stay_on_one_line(cli: Any, tiny_run: Path, tiny_npz: Path, tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 20) / ("longer" * 20)
    folder.mkdir(parents=True)
    assert cli("report", tiny_run, "--data", tiny_npz, "--out", folder / "p.html").out == f"Report: {folder / 'p.html'}\n"


def test_samples_are_written_atomically(cli: Any, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "s.png"
    out.write_text("old")
    monkeypatch.setattr(files.os, "fsync", full_disk)
    result = cli("sample", tiny_run, "--out", out, "--force", "--per-class", 1, "--steps", 1)
    assert (result.code, "No space left" in result.err) == (2, True)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("s.png", "old")]


def full_disk(descriptor: int) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.slow
def test_a_disk_that_fills_up_in_training_costs_nothing_that_was_kept(
    cli: Any, tiny_npz: Path, config_file: Path, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    command = ("train", tiny_npz, "--out", run, "--config", config_file, "--checkpoint-every", 5)
    calls: list[int] = []

    def fills_up(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 6:  # configuration, record of images, manifest, metrics, checkpoints of steps 5 and 10
            full_disk(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", fills_up)
        result = cli(*command)
    assert result.code == 2
    assert "state.safetensors: cannot be written (No space left on device)" in result.err
    assert int(load_tensors(run / STATE)[0]["step"]) == 10
    assert not [path for path in run.iterdir() if path.name.startswith(".")]
    assert cli(*command, "--resume").code == 0
    assert cli("evaluate", run, tiny_npz, "--json").code == 0


def test_debug_lets_the_error_through(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments, error in (
        (["classify", str(tmp_path), "a.png", "--debug"], RunError),
        (["--debug", "classify", str(tiny_run), "a.png", "--device", "abacus"], ConfigError),
    ):
        monkeypatch.setattr("sys.argv", ["bayescope", *arguments])
        with pytest.raises(error) as raised:
            main.run()
        assert raised.traceback[-1].name in ("_check_trained", "open_fabric")


@no_gpu
@pytest.mark.parametrize("device", ["cuda", "bogus"])
def test_a_device_that_is_not_there(
    cli: Any, tiny_run: Path, tiny_npz: Path, config_file: Path, picture: Path, tmp_path: Path, device: str
) -> None:
    run, out = Path(shutil.copytree(tiny_run, tmp_path / "run")), tmp_path / "out"
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    train = ("train", tiny_npz, "--config", config_file, "--device", device, "--out")
    commands = [
        (*train, out),
        (*train, run, "--force"),
        ("evaluate", run, tiny_npz, "--device", device),
        ("classify", run, picture, "--device", device),
        ("explain", run, picture, "--out", out, "--device", device),
        ("likelihood", run, picture, "--device", device),
        ("report", run, "--data", tiny_npz, "--device", device),
        ("sample", run, "--out", out, "--device", device),
    ]
    for command in commands:
        result = cli(*command)
        assert (result.code, f"device '{device}'" in result.err, "expected auto" in result.err) == (2, True, True)
    assert not out.exists()
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


@pytest.mark.slow
def test_scoring_on_a_named_device(cli: Any, tiny_run: Path, tiny_npz: Path, picture: Path) -> None:
    assert cli("evaluate", tiny_run, tiny_npz, "--device", "cpu", "--json").code == 0
    assert cli("classify", tiny_run, picture, "--device", "auto").code == 0


def test_levels_on_the_command_line(cli: Any, tiny_npz: Path, config_file: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert cli("train", tiny_npz, "--out", run, "--config", config_file, "--levels", 3, "--steps", 2).code == 0
    model = load_model(run)
    assert (model.config.evidence.levels, len(model.level_weights.weights), model.config.training.steps) == (3, 3, 2)
    assert cli("train", tiny_npz, "--out", run, "--resume", "--levels", 6).code == 0
    assert len(load_model(run).level_weights.weights) == 6


@pytest.mark.slow
@pytest.mark.parametrize("command", [("train", "DATA", "--out", "OUT"), ("demo", "--out", "OUT")])
def test_seeds_out_of_range(cli: Any, tiny_npz: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    words = [{"DATA": tiny_npz, "OUT": tmp_path / "run"}.get(word, word) for word in command]
    result = cli(*words, "--steps", 1, "--seed", 5_000_000_000)
    assert (result.code, "seed" in result.err, "4294967295" in result.err) == (2, True, True)
    assert not (tmp_path / "run").exists()
    assert cli("prepare", "folder", tmp_path, "--out", tmp_path / "c", "--size", 8, "--seed", 2**32).code == 2


@pytest.mark.parametrize("key", ["noise_mean", "learning_rate", "noise_std", "evidence_weight"])
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_settings_are_finite(key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"training.{key}: found (inf|nan)"):
        parse_config({"training": {key: value}})


def test_json_is_strict(cli: Any, tiny_run: Path, tiny_data: Dataset, tmp_path: Path) -> None:
    one_class = replace(tiny_data, test=tiny_data.test.subset(np.flatnonzero(tiny_data.test.labels == 0)))
    path = write_npz(tmp_path / "one.npz", one_class)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    found = json.loads(cli("evaluate", tiny_run, path, "--json").out, parse_constant=refuse)
    assert found["measures"]["AUC"]["value"] is None
    assert 0 <= found["measures"]["accuracy"]["value"] <= 1


@pytest.mark.parametrize("options", [(), ("--resume",)])
def test_a_budget_below_the_number_of_classes(
    cli: Any, tiny_npz: Path, tiny_config: Config, tmp_path: Path, options: tuple[str, ...]
) -> None:
    values = tiny_config.model_dump(exclude_none=True)
    values["evidence"] |= {"max_passes": 2}
    three = tmp_path / "three.npz"
    with np.load(tiny_npz) as arrays:
        np.savez(three, **{k: v if "images" in k else np.arange(len(v)) % 3 for k, v in arrays.items()})
    (tmp_path / "c.toml").write_text(dump_toml(parse_config(values)))
    result = cli("train", three, "--out", tmp_path / "run", "--config", tmp_path / "c.toml", *options)
    assert (result.code, "max_passes 2; expected at least 3" in result.err) == (2, True)
    assert not (tmp_path / "run").exists()


def test_paths_that_cannot_be_reached(cli: Any, tiny_run: Path, tiny_npz: Path, picture: Path, tmp_path: Path) -> None:
    long, free = tmp_path / ("x" * 300), tmp_path / "gaussian"
    prepare = ("prepare", "folder", "--size", 8)
    for command in (
        ("train", long, "--out", free),
        ("train", tiny_npz, "--out", long, "--steps", 1),
        ("train", tiny_npz, "--out", long, "--resume"),
        ("evaluate", tiny_run, long),
        ("evaluate", long, tiny_npz),
        ("classify", tiny_run, long),
        ("classify", long, picture),
        ("report", tiny_run, "--data", tiny_npz, "--out", long),
        ("sample", tiny_run, "--out", long),
        ("compare", long, "--out", free),
        (*prepare, long, "--out", free),
        (*prepare, long.with_suffix(".csv"), "--out", free),
        (*prepare, tmp_path, "--out", long, "--force"),
        ("prepare", "cbis-ddsm", long, "--out", free, "--size", 8, "--task", "mass-roi"),
    ):
        result = cli(*command)
        told = "cannot be reached (File name too long); expected a valid path" in result.err
        assert (result.code, told) == (2, True), command
    assert not free.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
def test_folders_that_may_not_be_entered(cli: Any, tiny_npz: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    for command in (("train", closed / "set", "--out", tmp_path / "run"), ("train", tiny_npz, "--out", closed / "run")):
        result = cli(*command)
        assert (result.code, "cannot be reached (Permission denied)" in result.err) == (2, True)
