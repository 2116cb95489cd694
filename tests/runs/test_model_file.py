"""Saved models: where they are put, what older ones lack, and damage."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from bayescope.errors import ConfigError, RunError
from bayescope.runs import model_file
from bayescope.runs.files import MODEL, STATE, load_tensors, save_tensors
from bayescope.runs.folder import started_steps
from bayescope.runs.model_file import load_model, read_class_names


@pytest.fixture
def copy(tiny_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_run, tmp_path / "copy"))


def about(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(load_tensors(run / MODEL)[1]["bayescope"])
    return content


def rewrite(run: Path, content: dict[str, Any]) -> None:
    save_tensors(run / MODEL, load_tensors(run / MODEL)[0], {"bayescope": json.dumps(content)})


@pytest.mark.parametrize("missing", ["scale", "pixel_type", "class_names", "class_prior", "post_hoc"])
def test_incomplete_metadata(copy: Path, missing: str) -> None:
    rewrite(copy, {key: value for key, value in about(copy).items() if key != missing})
    with pytest.raises(RunError, match=rf"does not fit config.toml.*{missing}"):
        load_model(copy)


def test_class_names_are_read_without_the_model(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_file, "load_tensors", lambda path: pytest.fail("read the weights"))
    assert read_class_names(copy) == ("upper", "lower")
    monkeypatch.undo()
    rewrite(copy, {key: value for key, value in about(copy).items() if key != "class_names"})
    with pytest.raises(RunError, match=r"does not fit config.toml.*class_names"):
        read_class_names(copy)
    (copy / MODEL).unlink()
    with pytest.raises(RunError, match="training has not finished"):
        read_class_names(copy)


def test_a_checkpoint_without_a_step(copy: Path) -> None:
    assert started_steps(copy) == 24
    save_tensors(copy / STATE, {"other": torch.zeros(1)})
    with pytest.raises(RunError, match="has no step"):
        started_steps(copy)


def test_a_model_is_put_on_the_device_asked_for(tiny_run: Path) -> None:
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert load_model(tiny_run, "auto").denoiser.mean.device.type in (expected, "mps")
    assert load_model(tiny_run).denoiser.mean.device.type == "cpu"
    with pytest.raises(ConfigError, match=r"device 'abacus'.*expected auto, cpu"):
        load_model(tiny_run, "abacus")
