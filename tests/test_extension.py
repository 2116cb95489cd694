"""A network, a schedule and whatever else the configuration names, added from outside: a class or function and a line each."""

import importlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bayescope.calibration import KINDS
from bayescope.calibration.affine import BiasCorrectedTemperatureScaling
from bayescope.config import Config, dump_toml, parse_config
from bayescope.data.dataset import Dataset
from bayescope.diffusion.denoiser import Denoiser, EpsilonDenoiser, epsilon_weight
from bayescope.diffusion.divergence import ExactDivergence
from bayescope.diffusion.image_statistics import ImageStatistics
from bayescope.diffusion.networks import NETWORKS
from bayescope.diffusion.ode import heun
from bayescope.diffusion.schedules import SCHEDULES, Schedule
from bayescope.diffusion.spectral_denoiser import SpectralDenoiser
from bayescope.errors import ConfigError
from bayescope.evidence.level_weights import LevelWeights
from bayescope.evidence.level_weights_fit import LEVEL_WEIGHTS, LevelWeighting
from bayescope.fitting.fit import fit
from bayescope.fitting.words import WORDS
from bayescope.inference.likelihood import SOLVERS, TRACES
from bayescope.runs.model_file import load_model
from bayescope.training.augmentation import AUGMENTATIONS, Flip
from bayescope.training.learning_rate import DECAYS
from bayescope.training.losses import LEVEL_DENSITIES, LOSS_WEIGHTS
from bayescope.training.optimizers import OPTIMIZERS, single_optimizer
from conftest import Call


class OneConvolution(nn.Module):
    """A convolution, and an offset of each class; no more than a denoiser needs."""

    def __init__(self, channels: int, n_classes: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1)
        self.offset = nn.Embedding(n_classes + 1, channels)

    def forward(self, z: Tensor, level: Tensor, label: Tensor) -> Tensor:
        repeats = len(label) // len(z)
        return self.under(z, torch.arange(len(z)).repeat(repeats), self.modulate(level.repeat(repeats), label))

    def modulate(self, level: Tensor, label: Tensor) -> list[Tensor]:
        return [self.offset(label)]

    def under(self, z: Tensor, image: Tensor, modulation: list[Tensor]) -> Tensor:
        return self.convolution(z)[image] + modulation[0][:, :, None, None]


class StartingConvolution(OneConvolution):
    """The same with what Muon and a start from p(x) ask of a network."""

    @property
    def ends(self) -> tuple[nn.Conv2d, nn.Conv2d]:
        return self.convolution, self.convolution

    @property
    def class_embedding(self) -> nn.Embedding:
        return self.offset


class TimeIsSigma(Schedule):
    """σ = t."""

    @property
    def last_time(self) -> float:
        return 5.0

    def sigma(self, t: Tensor) -> Tensor:
        return t

    def time(self, sigma: Tensor) -> Tensor:
        return sigma


@dataclass(frozen=True)
class OneLevel:
    """A density of noise levels."""

    sigma: float

    def draw(self, n: int, offset: float) -> Tensor:
        return torch.full((n,), self.sigma)


class ToyCalibration(BiasCorrectedTemperatureScaling):
    kind: ClassVar[str] = "toy"


def noise_predictor(statistics: ImageStatistics, config: object) -> Denoiser:
    net = OneConvolution(*statistics.channels_and_classes)
    return EpsilonDenoiser(net, statistics, SCHEDULES[config.schedule]())  # type: ignore[attr-defined]


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A word "toy" in every table; the list gets the name of each part that is used."""
    used: list[str] = []

    def using(name: str, value: object) -> object:
        used.append(name)
        return value

    monkeypatch.setitem(NETWORKS, "toy", lambda statistics, config: using("net", noise_predictor(statistics, config)))
    monkeypatch.setitem(SCHEDULES, "toy", TimeIsSigma)
    monkeypatch.setitem(LEVEL_DENSITIES, "one", lambda settings: using("density", OneLevel(0.5)))
    monkeypatch.setitem(OPTIMIZERS, "toy", single_optimizer(lambda groups, lr: using("optimizer", torch.optim.SGD(groups, lr))))
    monkeypatch.setitem(DECAYS, "toy", lambda phase, settings, epoch_steps: using("decay", 1.0))
    monkeypatch.setitem(LOSS_WEIGHTS, "toy", lambda denoiser, sigma: using("loss", epsilon_weight(denoiser, sigma)))
    monkeypatch.setitem(AUGMENTATIONS, "toy", lambda n_train, strength: using("augmentation", Flip()))
    equal = LevelWeighting(lambda config, held_out, labels: using("weights", LevelWeights(np.ones(4), np.zeros(2))), False)
    monkeypatch.setitem(LEVEL_WEIGHTS, "toy", equal)
    monkeypatch.setitem(KINDS, "toy", ToyCalibration)
    monkeypatch.setitem(SOLVERS, "toy", lambda settings: using("solver", heun))
    monkeypatch.setitem(TRACES, "toy", lambda settings, shape, generator: using("trace", ExactDivergence()))
    return used


def toy_config(tiny_config: Config, **training: object) -> Config:
    values = tiny_config.model_dump(exclude_none=True)
    values["net"] |= {"kind": "toy", "schedule": "toy"}
    values["training"] |= {"noise_levels": "toy", **training}
    return parse_config(values)


@pytest.mark.slow
@pytest.mark.usefixtures("toys")
def test_a_network_and_a_schedule_from_outside_train_and_classify(
    cli: Call, tiny_npz: Path, tiny_config: Config, tmp_path: Path
) -> None:
    (tmp_path / "c.toml").write_text(dump_toml(toy_config(tiny_config)))
    assert cli("train", tiny_npz, "--out", tmp_path / "run", "--config", tmp_path / "c.toml").code == 0
    model = load_model(tmp_path / "run")
    assert isinstance(model.denoiser.net, OneConvolution)
    assert isinstance(model.denoiser, EpsilonDenoiser)
    assert isinstance(model.denoiser.schedule, TimeIsSigma)
    assert cli("evaluate", tmp_path / "run", tiny_npz).code == 0


def test_one_of_each_from_outside(
    cli: Call, toys: list[str], tiny_npz: Path, tiny_data: Dataset, tiny_config: Config, tmp_path: Path
) -> None:
    from PIL import Image

    words = {"optimizer": "toy", "decay": "toy", "loss": "toy", "augmentation": "toy", "noise_levels": "one", "steps": 3}
    values = toy_config(tiny_config, **words).model_dump(exclude_none=True)
    values["evidence"] |= {"level_weights": "toy", "calibration": "toy"}
    (tmp_path / "c.toml").write_text(dump_toml(parse_config(values)))
    assert cli("train", tiny_npz, "--out", tmp_path / "run", "--config", tmp_path / "c.toml").code == 0
    assert isinstance(load_model(tmp_path / "run").calibration, ToyCalibration)
    Image.fromarray(tiny_data.test.pixels[0, 0]).save(tmp_path / "a.png")
    flow = ("--solver", "toy", "--steps", 2, "--trace", "toy")
    assert cli("likelihood", tmp_path / "run", tmp_path / "a.png", *flow).code == 0
    parts = {"net", "density", "optimizer", "decay", "loss", "augmentation", "weights", "solver", "trace"}
    assert set(toys) == parts


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize(
    ("training", "missing"),
    [({"optimizer": "muon"}, "does not name its first and last"), ({"generative_steps": 2}, "no embedding of the classes")],
)
def test_what_a_network_does_not_offer_is_refused_before_the_first_step(
    tiny_data: Dataset, tiny_config: Config, monkeypatch: pytest.MonkeyPatch, training: dict[str, object], missing: str
) -> None:
    config = toy_config(tiny_config, steps=4, **training)
    with pytest.raises(ConfigError, match=f"OneConvolution.*{missing}"):
        fit(tiny_data, config, watch=pytest.fail)
    monkeypatch.setitem(
        NETWORKS,
        "toy",
        lambda statistics, config: SpectralDenoiser(StartingConvolution(*statistics.channels_and_classes), statistics),
    )
    assert fit(tiny_data, config).denoiser.n_classes == 2


@pytest.mark.usefixtures("toys")
def test_a_start_from_another_run_needs_an_embedding_of_the_classes(
    tiny_data: Dataset, tiny_config: Config, tiny_run: Path
) -> None:
    with pytest.raises(ConfigError, match="OneConvolution, which has no embedding"):
        fit(tiny_data, toy_config(tiny_config), watch=pytest.fail, init=load_model(tiny_run))


def test_filters_need_a_stem(tiny_data: Dataset, tiny_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        NETWORKS,
        "toy",
        lambda statistics, config: SpectralDenoiser(OneConvolution(*statistics.channels_and_classes), statistics),
    )
    values = tiny_config.model_dump(exclude_none=True)
    values["net"] |= {"kind": "toy", "csp_filters": 4}
    with pytest.raises(ConfigError, match="csp_filters: found 4 for OneConvolution, which has no stem"):
        fit(tiny_data, parse_config(values), watch=pytest.fail)


def test_the_documentation_names_the_dictionaries() -> None:
    """Each row of docs/code.md: the names are those of the module, and the setting's words are keys of it."""
    page = (Path(__file__).resolve().parents[1] / "docs" / "code.md").read_text()
    rows = re.findall(r"^\| [^|]+ \| ([^|]*) \| ((?:`[A-Z_]+`(?:, )?)+) in `(.+)\.py` \|$", page, flags=re.MULTILINE)
    assert {key for keys, _, _ in rows for key in re.findall(r"`(\w+\.\w+)`", keys)} == set(WORDS)
    for _, names, module in rows:
        found = importlib.import_module("bayescope." + module.removesuffix("/__init__").replace("/", "."))
        for name in re.findall(r"\w+", names):
            assert isinstance(getattr(found, name), dict)
