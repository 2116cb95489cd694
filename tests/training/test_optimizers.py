"""Every parameter is updated, once, by the optimiser meant for it."""

import pytest
import torch

from bayescope.config import NetConfig, TrainingConfig
from bayescope.diffusion.denoiser import Denoiser
from bayescope.diffusion.image_statistics import ImageStatistics
from bayescope.diffusion.networks import build_denoiser
from bayescope.training.losses import Temperature
from bayescope.training.muon import Muon
from bayescope.training.optimizers import build_optimizers, hidden_filters


def denoiser(kind: str) -> Denoiser:
    return build_denoiser(ImageStatistics.blank((1, 8, 8), 2), NetConfig(kind=kind, widths=(8, 16)))


@pytest.mark.parametrize("kind", ["fast", "paper"])
@pytest.mark.parametrize("optimizer", ["adamw", "adam", "muon"])
def test_every_parameter_belongs_to_one_group(kind: str, optimizer: str) -> None:
    net, temperature = denoiser(kind), Temperature()
    optimizers = build_optimizers(net, temperature, TrainingConfig(optimizer=optimizer))
    grouped = [id(p) for one in optimizers.values() for group in one.param_groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in [*net.parameters(), *temperature.parameters()])
    assert ("muon" in optimizers) == (optimizer == "muon")


@pytest.mark.parametrize(("kind", "ends"), [("fast", ["stem.filters", "head"]), ("paper", ["enter.blocks.0.conv", "head"])])
def test_muon_has_the_filters_inside_the_network(kind: str, ends: list[str]) -> None:
    net = denoiser(kind)
    inside = {id(p) for p in hidden_filters(net)}
    names = {name for name, p in net.net.named_parameters() if p.ndim == 4 and id(p) not in inside}
    assert names == {f"{end}.weight" for end in ends}
    assert all(p.ndim == 4 for p in hidden_filters(net))


def test_rates_are_the_configured_ones() -> None:
    config = TrainingConfig(optimizer="muon", learning_rate=2e-3, muon_learning_rate=0.05, weight_decay=0.01)
    optimizers = build_optimizers(denoiser("fast"), Temperature(), config)
    assert isinstance(optimizers["muon"], Muon)
    rates = [config.learning_rate * group["factor"] for one in optimizers.values() for group in one.param_groups]
    torch.testing.assert_close(torch.tensor(rates), torch.tensor([2e-3, 2e-2, 0.05]))
    assert [group["weight_decay"] for one in optimizers.values() for group in one.param_groups] == [0.01, 0.0, 0.01]
