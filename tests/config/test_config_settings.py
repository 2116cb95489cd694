"""Every setting of the configuration survives its file, and something comes out otherwise with another value."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_config import FIELDS, SECTIONS

from bayescope.config import Config, dump_toml, parse_config, read_config
from bayescope.data.dataset import Dataset
from bayescope.dicom.codes import class_codes, code_of_class
from bayescope.diffusion.device import join_processes, open_fabric
from bayescope.diffusion.image_statistics import ImageStatistics
from bayescope.diffusion.networks import build_denoiser
from bayescope.errors import ConfigError
from bayescope.fitting.fit import fit
from bayescope.inference.likelihood import exact_likelihood
from bayescope.runs.model_file import load_model
from bayescope.training.loop import Progress
from bayescope.training.losses import joint_loss

KEYS = [key for key in FIELDS if f"{key}." not in SECTIONS]
Values = list[Any]


@dataclass(frozen=True)
class Given:
    """What an observation may use."""

    data: Dataset
    run: Path


See = Callable[[Config, Given], Values]


class TrainedEnough(Exception):
    """Training is over; what is fitted to validation images afterwards is not looked at."""


def training(config: Config, given: Given) -> Values:
    """Weights and their average after the last step, and the losses on validation images."""
    losses: list[float] = []
    weights: list[torch.Tensor] = []

    def watch(progress: Progress) -> None:
        state = progress.state
        if progress.validation is not None:
            losses.append(progress.validation.denoising.item())
        if state.step == progress.steps:
            modules = state.denoiser, state.ema
            weights.extend(value.detach().flatten() for module in modules for value in module.parameters())
            raise TrainedEnough

    with pytest.raises(TrainedEnough):
        fit(given.data, config, watch=watch)
    return [len(losses), torch.cat(weights).numpy(), losses]


def answers(config: Config, given: Given) -> Values:
    """How a model hardly trained is fitted to validation images; its answers, and after how many passes."""
    model = fit(given.data, config)
    found = model.classify(given.data.test.pixels)
    return [model.sigmas, model.level_weights.weights, found.posterior, found.passes]


def decision_settings(config: Config, given: Given) -> Values:
    """What prediction sets and abstention promise."""
    decisions = fit(given.data, config).decisions
    assert decisions is not None
    return [decisions.sets.miscoverage, decisions.abstention.risk]


def flow(config: Config, given: Given) -> Values:
    """Log-likelihoods by the probability flow, and the passes they took."""
    model = replace(load_model(given.run), config=config)
    found = exact_likelihood(model, given.data.test.pixels[:2])
    return [found.log_likelihood, found.passes]


def cost_in_noise(config: Config, given: Given) -> Values:
    """Cost of a pass at high noise, on images large enough to be cropped."""
    statistics = ImageStatistics.blank((1, 64, 64), given.data.n_classes)
    return [build_denoiser(statistics, config.net).relative_cost(np.array([100.0]))]


def device(config: Config, given: Given) -> Values:
    """Where tensors lie, or why they cannot."""
    try:
        return [str(open_fabric(config).device)]
    except ConfigError as error:
        return [str(error)]


def precision(config: Config, given: Given) -> Values:
    """Type of a product in training."""
    fabric = open_fabric(config)
    with fabric.autocast():
        return [str((torch.ones(2, 2) @ torch.ones(2, 2)).dtype)]


def processes(config: Config, given: Given) -> Values:
    """How the processes of training are joined, of which none is started here."""
    joined = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lightning_fabric.Fabric.launch", lambda fabric: joined.append(fabric.strategy.num_nodes))
        fabric = join_processes(config)
    return [type(fabric.strategy).__name__, joined]


def parts(config: Config, given: Given) -> Values:
    """Images that go through the network at a time in training."""
    seen: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "bayescope.training.step_loss.joint_loss", lambda *batch: seen.append(len(batch[2])) or joint_loss(*batch)
        )
        training(config, given)
    return [seen[0]]


def compiled(config: Config, given: Given) -> Values:
    """Networks that are compiled for training."""
    found: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.nn.Module.compile", lambda module: found.append(type(module).__name__))
        training(config, given)
    return found


def codes(config: Config, given: Given) -> Values:
    """Code of each class."""
    return [
        found
        for name in given.data.class_names
        for found in code_of_class(name, class_codes(config.dicom, given.data.class_names))
    ]


@dataclass(frozen=True)
class Notices:
    """``see`` tells the setting at ``value`` from its default, with other settings as ``beside`` has them in both."""

    value: Any
    see: See = training
    beside: Mapping[str, Any] = field(default_factory=dict)


HEUN = {"flow.solver": "heun", "flow.steps": 3}
STEPS = {"training.decay": "step", "training.decay_epochs": 1}
SETTINGS: dict[str, Notices | str] = {
    "seed": Notices(1),
    "size": "tests/cli/test_cli_flags.py, --config of train and compare",
    "device": Notices("cuda:7", device, {"device": "cpu"}),
    "devices": "tests/training/test_training_processes.py, where two and three train as one",
    "nodes": Notices(2, processes, {"device": "cpu", "strategy": "ddp"}),
    "strategy": Notices("ddp", processes, {"device": "cpu"}),
    "precision": Notices("bf16-mixed", precision),
    "net.kind": Notices("paper"),
    "net.schedule": Notices("cosine", beside={"net.kind": "paper"}),
    "net.widths": Notices((8, 16)),
    "net.blocks": Notices(2),
    "net.dropout": Notices(0.5),
    "net.csp_filters": Notices(4),
    "net.fold": Notices(1),
    "net.crop_snr": Notices(0.1, cost_in_noise),
    "training.steps": Notices(9),
    "training.batch_size": Notices(6),
    "training.accumulate": Notices(2, parts),
    "training.compile": Notices(True, compiled),
    "training.shard_images": Notices(2),
    "training.learning_rate": Notices(1e-4),
    "training.weight_decay": Notices(0.9),
    "training.warmup_steps": Notices(1),
    "training.ema_decay": Notices(0.1),
    "training.label_dropout": Notices(0.9),
    "training.optimizer": Notices("muon"),
    "training.muon_learning_rate": Notices(0.1, beside={"training.optimizer": "muon"}),
    "training.decay": Notices("stable"),
    "training.decay_factor": Notices(0.5, beside=STEPS),
    "training.decay_epochs": Notices(2, beside=STEPS),
    "training.loss": Notices("epsilon"),
    "training.noise_levels": Notices("vp"),
    "training.noise_mean": Notices(0.0),
    "training.noise_std": Notices(0.5),
    "training.evidence_noise_mean": Notices(0.0),
    "training.evidence_noise_std": Notices(0.5),
    "training.evidence_weight": Notices(1.0),
    "training.evidence_from": Notices(0.9),
    "training.generative_steps": Notices(4),
    "training.generative_weight": Notices(0.1, beside={"training.generative_steps": 4}),
    "training.augmentation": Notices("flip"),
    "training.intensity": Notices(0.5),
    "training.validate_every": Notices(4),
    "evidence.levels": Notices(5, answers),
    "evidence.noises": Notices(1, answers),
    "evidence.sigma_min": Notices(0.2, answers),
    "evidence.sigma_max": Notices(1.0, answers),
    "evidence.level_weights": Notices("power", answers),
    "evidence.power": Notices(1.5, answers, {"evidence.level_weights": "power"}),
    "evidence.calibration": Notices("none", answers),
    "evidence.calibration_augmentation": Notices(0.0, answers),
    "evidence.disagreement_rate": Notices(0.0, answers),
    "evidence.max_passes": Notices(4, answers),
    "evidence.miscoverage": Notices(0.4, decision_settings),
    "evidence.risk": Notices(0.4, decision_settings),
    "flow.solver": Notices("rk4", flow, HEUN),
    "flow.tolerance": Notices(0.3, flow, {"flow.tolerance": 0.1, "flow.sigma_min": 0.1}),
    "flow.steps": Notices(4, flow, HEUN),
    "flow.trace": Notices("gaussian", flow, HEUN),
    "flow.probes": Notices(2, flow, HEUN),
    "flow.sigma_min": Notices(0.1, flow, HEUN),
    "flow.sigma_max": Notices(40.0, flow, HEUN),
    "dicom.codes": Notices({"upper": {"scheme": "SCT", "value": "261183002", "meaning": "Upper"}}, codes),
}
"""By key of the configuration: what notices another value here, or the test that does."""


def with_settings(config: Config, settings: Mapping[str, Any]) -> Config:
    values = config.model_dump()
    for key, value in settings.items():
        *section, name = key.split(".")
        (values[section[0]] if section else values)[name] = value
    return parse_config(values)


def same(a: Values, b: Values) -> bool:
    return len(a) == len(b) and all(
        np.array_equal(x, y, equal_nan=np.asarray(x).dtype.kind == "f") for x, y in zip(a, b, strict=True)
    )


@pytest.fixture(scope="module")
def short(tiny_config: Config) -> Config:
    """Few steps, over more than one epoch."""
    return with_settings(tiny_config, {"training.steps": 10, "training.validate_every": 5})


@pytest.fixture(scope="module")
def given(tiny_data: Dataset, tiny_run: Path) -> Given:
    return Given(tiny_data, tiny_run)


@pytest.fixture(scope="module")
def usual() -> dict[tuple[See, Config], Values]:
    """What was seen of each configuration that others are held against."""
    return {}


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
def test_another_value_is_noticed(key: str, short: Config, given: Given, usual: dict[tuple[See, Config], Values]) -> None:
    notices = SETTINGS[key]
    if isinstance(notices, str):
        return
    default = with_settings(short, notices.beside)
    changed = with_settings(default, {key: notices.value})
    assert changed != default
    if (notices.see, default) not in usual:
        usual[notices.see, default] = notices.see(default, given)
    assert not same(usual[notices.see, default], notices.see(changed, given))


@pytest.mark.slow
@pytest.mark.parametrize("see", sorted({of.see for of in SETTINGS.values() if isinstance(of, Notices)}, key=str))
def test_chance_makes_no_difference(see: See, short: Config, given: Given) -> None:
    config = with_settings(short, HEUN)
    assert same(see(config, given), see(config, given))


@pytest.mark.parametrize("key", KEYS)
def test_another_value_survives_its_file(key: str, short: Config, tmp_path: Path) -> None:
    notices = SETTINGS[key]
    settings = {key: 16} if isinstance(notices, str) else {**notices.beside, key: notices.value}
    config = with_settings(short, settings)
    assert config != short
    (tmp_path / "config.toml").write_text(dump_toml(config))
    assert read_config(tmp_path / "config.toml") == config
