"""Training state: the moving average by hand, and a flat form that restores all of it."""

import pytest
import torch

from bayescope.config import NetConfig, TrainingConfig
from bayescope.diffusion.image_statistics import ImageStatistics
from bayescope.diffusion.networks import build_denoiser
from bayescope.errors import RunError
from bayescope.training.losses import joint_loss
from bayescope.training.sampler import seeded
from bayescope.training.state import TrainingState


def fresh(seed: int = 0, n_classes: int = 2, **settings: object) -> TrainingState:
    torch.manual_seed(seed)
    denoiser = build_denoiser(ImageStatistics.blank((2, 5, 7), n_classes), NetConfig(widths=(8, 8)))
    return TrainingState.start(denoiser, TrainingConfig.model_validate({"learning_rate": 0.01} | settings))


def take_step(state: TrainingState) -> None:
    x, noise = (torch.randn(2, 2, 5, 7, generator=seeded(7, state.step, part)) for part in range(2))
    sigma = torch.tensor([0.3, 2.0])
    losses = joint_loss(
        state.denoiser, state.temperature, x, x + sigma[:, None, None, None] * noise, sigma, torch.tensor([0, 1])
    )
    (losses.denoising + losses.evidence).backward()
    for optimizer in state.optimizers.values():
        optimizer.step()
        optimizer.zero_grad()
    state.step += 1
    state.update_ema(0.9, state.step)


def weights(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


def test_one_step_of_the_average_by_hand() -> None:
    state = fresh()
    take_step(state)
    before, raw = weights(state.ema), weights(state.denoiser)
    assert not torch.equal(before, raw)
    state.update_ema(decay=0.9, steps=1000)
    torch.testing.assert_close(weights(state.ema), 0.9 * before + 0.1 * raw)
    before = weights(state.ema)
    state.update_ema(decay=0.9999, steps=8)
    torch.testing.assert_close(weights(state.ema), 0.5 * before + 0.5 * raw)


def test_the_average_is_never_trained_and_can_begin_anew() -> None:
    state = fresh()
    assert not state.ema.training
    assert not any(parameter.requires_grad for parameter in state.ema.parameters())
    take_step(state)
    assert not torch.equal(weights(state.ema), weights(state.denoiser))
    state.average_from_here()
    assert torch.equal(weights(state.ema), weights(state.denoiser))


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_restored_state_goes_on_exactly(optimizer: str) -> None:
    state, restored = fresh(0, optimizer=optimizer), fresh(1, optimizer=optimizer)
    take_step(state)
    restored.restore({key: value.clone() for key, value in state.tensors().items()})
    assert restored.step == 1
    for each in (state, restored):
        take_step(each)
    found, expected = restored.tensors(), state.tensors()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_a_state_of_another_model_is_refused() -> None:
    with pytest.raises(RunError, match="training state of another model"):
        fresh().restore(fresh(n_classes=3).tensors())
    with pytest.raises(RunError, match="training state of another model"):
        fresh().restore({})
