"""Where images are scored, and that a CPU is chosen without importing what trains."""

import subprocess
import sys

import pytest
import torch

from bayescope.config import Config
from bayescope.diffusion.scoring_device import scoring_device
from bayescope.errors import ConfigError


@pytest.fixture
def without_fabric(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bayescope.diffusion.device", None)


def with_accelerator(monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.usefixtures("without_fabric")
@pytest.mark.parametrize("name", ["cpu", "auto"])
def test_without_a_gpu_it_is_the_cpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with_accelerator(monkeypatch, cuda=False, mps=False)
    assert scoring_device(name) == torch.device("cpu")


@pytest.mark.usefixtures("without_fabric")
def test_the_cpu_is_taken_where_there_is_a_gpu_but_the_cpu_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with_accelerator(monkeypatch, cuda=True, mps=True)
    assert scoring_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(("name", "cuda", "mps"), [("auto", True, False), ("auto", False, True), ("cuda:1", False, False)])
def test_everything_else_is_chosen_as_in_training(name: str, cuda: bool, mps: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Opened:
        device = torch.device("meta")

    asked: list[Config] = []
    with_accelerator(monkeypatch, cuda, mps)
    monkeypatch.setattr("bayescope.diffusion.device.open_fabric", lambda config: asked.append(config) or Opened)
    assert scoring_device(name) == torch.device("meta")
    assert [config.device for config in asked] == [name]


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="device 'abacus'"):
        scoring_device("abacus")


@pytest.mark.slow
def test_loading_a_model_imports_nothing_that_trains() -> None:
    code = "import sys, bayescope.runs.model_file; print({'lightning_fabric', 'torch._dynamo'} & sys.modules.keys())"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout.strip() == "set()"
