"""What the seed and the step decide in training: the first weights, the noises of every step, those of validation."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from bayescope.config import Config, parse_config
from bayescope.data.dataset import Dataset
from bayescope.data.pixel_scale import PixelScale
from bayescope.diffusion.device import open_fabric
from bayescope.fitting.fit import fit
from bayescope.training import loop
from bayescope.training.batches import StepBatches
from bayescope.training.loop import start, validate
from bayescope.training.state import TrainingState
from bayescope.training.step_loss import Contribution, StepLoss


def seeded_config(config: Config, seed: int, **training: object) -> Config:
    values = config.model_dump(exclude_none=True)
    return parse_config(values | {"seed": seed, "training": values["training"] | training})


def begun(data: Dataset, config: Config) -> TrainingState:
    return start(config, data.train, PixelScale.of(data.train.pixels), open_fabric(config))


def weights(state: TrainingState) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in state.denoiser.parameters()])


def test_the_first_weights_follow_the_seed(tiny_data: Dataset, tiny_config: Config) -> None:
    first, again, other = (weights(begun(tiny_data, seeded_config(tiny_config, seed))) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def noises(data: Dataset, config: Config, monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """The noise of each step of a training of three."""
    found: list[torch.Tensor] = []
    forward = StepLoss.forward

    def spy(self: StepLoss, given: Callable[[], StepBatches]) -> Contribution:
        batch = given().main
        found.append((batch.z - batch.x) / batch.sigma[:, None, None, None])
        return forward(self, given)

    with monkeypatch.context() as patch:
        patch.setattr(StepLoss, "forward", spy)
        fit(data, config)
    return found


@pytest.mark.slow
def test_the_noises_follow_seed_and_step(tiny_data: Dataset, tiny_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    first, again, other = (
        noises(tiny_data, seeded_config(tiny_config, seed, steps=3, validate_every=3), monkeypatch) for seed in (0, 0, 1)
    )
    assert len(first) == 3
    for step in range(3):
        assert first[step].std() == pytest.approx(1, abs=0.2)
        assert torch.equal(first[step], again[step])
        assert (first[step] - other[step]).abs().mean() > 0.5
    assert (first[0] - first[1]).abs().mean() > 0.5
    assert (first[1] - first[2]).abs().mean() > 0.5


def test_validation_has_the_same_noise_at_every_step(tiny_data: Dataset, tiny_config: Config) -> None:
    state, scale, fabric = begun(tiny_data, tiny_config), PixelScale.of(tiny_data.train.pixels), open_fabric(tiny_config)
    found = []
    for state.step, seed in ((8, 0), (9, 0), (8, 1)):
        config = seeded_config(tiny_config, seed)
        found.append(float(validate(state, config, tiny_data.val, scale, fabric).denoising))
    assert found[0] == found[1] != found[2]


def test_statistics_are_of_images_as_they_are_shown(
    tiny_data: Dataset, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = begun(tiny_data, seeded_config(tiny_config, 0, augmentation="none")).denoiser.class_means
    monkeypatch.setattr(loop, "build_augmentation", lambda *_: lambda x, generator: -2 * x)
    shown = begun(tiny_data, tiny_config).denoiser.class_means
    np.testing.assert_allclose(shown.numpy(), -2 * plain.numpy(), rtol=1e-4, atol=1e-5)
    assert plain.abs().max() > 0.1
