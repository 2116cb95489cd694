"""What is trained is what is saved, loaded and used: averages, dropout, draws, losses, learning rate and orientation."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bayescope.config import Config, parse_config
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.data.pixel_scale import PixelScale
from bayescope.diffusion.device import open_fabric
from bayescope.fitting.fit import fit, fit_run
from bayescope.runs.model_file import load_model
from bayescope.training.batches import Sampler
from bayescope.training.loop import Progress, validate
from bayescope.training.sampler import seeded
from bayescope.training.state import TrainingState
from conftest import stripes


def changed(config: Config, **sections: dict[str, object]) -> Config:
    return parse_config(
        config.model_dump() | {name: getattr(config, name).model_dump() | new for name, new in sections.items()}
    )


def weights(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


class Last:
    """The last progress that training reported."""

    state: TrainingState

    def __init__(self) -> None:
        self.losses: list[float] = []

    def __call__(self, progress: Progress) -> None:
        self.state = progress.state
        if progress.validation is not None:
            self.losses.append(float(progress.validation.evidence))


def test_the_saved_network_is_the_average(tiny_data: Dataset, tiny_config: Config, tmp_path: Path) -> None:
    last = Last()
    fit_run(tiny_data, tiny_config, tmp_path / "run", watch=last)
    saved = weights(load_model(tmp_path / "run").denoiser)
    assert torch.equal(saved, weights(last.state.ema))
    assert (saved - weights(last.state.denoiser)).abs().max() > 1e-4


def test_dropout_is_off_in_a_model_fitted_or_loaded(tiny_data: Dataset, tiny_config: Config, tmp_path: Path) -> None:
    config = changed(tiny_config, net={"dropout": 0.5}, training={"steps": 4})
    fitted = fit_run(tiny_data, config, tmp_path / "run")
    loaded = load_model(tmp_path / "run")
    pixels = tiny_data.test.pixels[:4]
    expected = fitted.level_evidence(pixels).mean
    np.testing.assert_array_equal(fitted.level_evidence(pixels).mean, expected)
    np.testing.assert_array_equal(loaded.level_evidence(pixels).mean, expected)


def test_classes_are_drawn_evenly_from_unequal_numbers(tiny_config: Config) -> None:
    images = stripes(60, 1)
    few = np.r_[np.flatnonzero(images.labels == 0), np.flatnonzero(images.labels == 1)[:3]]
    unequal = images.subset(few)
    sampler = Sampler(unequal, None, tiny_config, PixelScale.of(unequal.pixels))
    labels = torch.cat([sampler(step, seeded(0, step)).main.label for step in range(10)])
    assert torch.bincount(labels).tolist() == [40, 40]


@pytest.mark.slow
@pytest.mark.parametrize("own", [{}, {"evidence_noise_mean": -0.5, "evidence_noise_std": 1.0}])
def test_the_evidence_loss_is_stepped_down(tiny_data: Dataset, tiny_config: Config, own: dict[str, float]) -> None:
    reached = {}
    for weight in (0.0, 3.0):
        last = Last()
        training = {"steps": 40, "validate_every": 40, "evidence_from": 0.0, "evidence_weight": weight, **own}
        fit(tiny_data, changed(tiny_config, training=training), watch=last)
        reached[weight] = last.losses[-1]
    assert reached[3.0] < min(0.9 * reached[0.0], np.log(2))


def test_a_learning_rate_of_nothing_learns_nothing(
    tiny_data: Dataset, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bayescope.training.loop.learning_rate", lambda *_: 0.0)
    seen: list[torch.Tensor] = []
    fit(tiny_data, tiny_config, watch=lambda progress: seen.append(weights(progress.state.denoiser)))
    assert torch.equal(seen[0], seen[-1])


def sides(n: int, seed: int) -> ImageSet:
    """As stripes, but the classes have a bright left or right half."""
    upper = stripes(n, seed, (1, 12, 8))
    pixels = np.ascontiguousarray(upper.pixels.transpose(0, 1, 3, 2))
    return replace(upper, pixels=pixels, class_names=("left", "right"))


@pytest.mark.slow
def test_images_are_read_the_way_round_they_are(tiny_config: Config) -> None:
    data = Dataset(sides(60, 1), sides(30, 2), sides(40, 3), source="sides")
    config = changed(tiny_config, training={"steps": 60, "augmentation": "none"})
    model = fit(data, config)
    ratio = np.diff(model.classify(data.test.pixels).evidence, axis=1)[:, 0]
    mirrored = np.diff(model.classify(np.ascontiguousarray(data.test.pixels[..., ::-1])).evidence, axis=1)[:, 0]
    right = data.test.labels == 1
    assert (ratio[right] > 0).mean() > 0.8
    assert (ratio[~right] < 0).mean() > 0.8
    assert (np.sign(mirrored) == -np.sign(ratio)).mean() > 0.8


def test_dropout_is_on_while_training(tiny_data: Dataset, tiny_config: Config) -> None:
    ends = []
    for dropout in (0.0, 0.5):
        last = Last()
        fit(tiny_data, changed(tiny_config, net={"dropout": dropout}, training={"steps": 4}), watch=last)
        ends.append(weights(last.state.denoiser))
    assert (ends[0] - ends[1]).abs().max() > 1e-4


def test_the_rate_decays_by_epochs_of_as_many_images_as_there_are(tiny_data: Dataset, tiny_config: Config) -> None:
    """Sixty images in batches of eight: an epoch takes seven and a half steps."""
    decaying = {"decay": "step", "decay_epochs": 1, "decay_factor": 0.5, "warmup_steps": 1, "learning_rate": 1e-3}
    rates: list[float] = []

    def watch(progress: Progress) -> None:
        rates.append(progress.state.optimizers["optimizer"].param_groups[0]["lr"])

    fit(tiny_data, changed(tiny_config, training=decaying), watch=watch)
    np.testing.assert_allclose(rates, [1e-3 * 0.5 ** (step // 7.5) for step in range(24)])


def test_validation_is_of_the_average(tiny_data: Dataset, tiny_config: Config) -> None:
    last = Last()
    fit(tiny_data, changed(tiny_config, training={"steps": 8}), watch=last)

    def losses() -> tuple[float, float]:
        scale = PixelScale.of(tiny_data.train.pixels)
        found = validate(last.state, tiny_config, tiny_data.val, scale, open_fabric(tiny_config))
        return float(found.denoising), float(found.evidence)

    before = losses()
    for network, expected in ((last.state.denoiser, True), (last.state.ema, False)):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(1.1)
        assert (losses() == before) == expected
