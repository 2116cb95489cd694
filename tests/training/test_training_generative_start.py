"""p(x) first, classes from it, and images without labels beside: what each step is shown, and that a run resumes exactly."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bayescope.config import Config, TrainingConfig
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.data.pixel_scale import PixelScale
from bayescope.diffusion.image_statistics import ImageStatistics
from bayescope.diffusion.networks import build_denoiser
from bayescope.errors import RunError
from bayescope.fitting.fit import fit_run
from bayescope.training.batches import Sampler
from bayescope.training.initial import start_classes_from_none
from bayescope.training.loop import Progress
from bayescope.training.sampler import seeded
from conftest import stripes
from helpers import same_weights

GENERATIVE = {"optimizer": "muon", "generative_steps": 10, "evidence_noise_mean": -1.6}


def with_training(config: Config, **settings: object) -> Config:
    values = config.training.model_dump() | settings
    return config.model_copy(update={"training": TrainingConfig.model_validate(values)})


def unlabelled(n: int, seed: int) -> ImageSet:
    images = stripes(n, seed)
    return replace(images, labels=np.full(n, -1), class_names=images.class_names)


def sampler(config: Config, train: ImageSet, others: ImageSet | None = None) -> Sampler:
    return Sampler(train, others, config, PixelScale.of(train.pixels))


def shown(n: int, value: int, label: int) -> ImageSet:
    """Grayscale images of one value each."""
    pixels = np.full((n, 1, 4, 4), value, np.uint8)
    return ImageSet(pixels, np.resize([label, 1 - label], n), ("a", "b"), tuple(map(str, range(n))))


def test_the_generative_start_shows_all_images_without_class_each_once_a_pass(tiny_config: Config) -> None:
    config = with_training(tiny_config, generative_steps=10, augmentation="none", batch_size=5)
    draw = sampler(config, shown(20, 255, 0), replace(shown(30, 0, 0), labels=np.full(30, -1)))
    batches = [draw(step, seeded(step)) for step in range(10)]
    assert all(b.evidence is None and b.unlabelled is None and (b.main.label == 2).all() for b in batches)
    values = torch.cat([b.main.x.mean(dim=(1, 2, 3)) for b in batches])
    assert int((values > 0).sum()) == 20
    assert int((values < 0).sum()) == 30


def test_labelled_steps_show_labelled_images_with_their_classes_and_half_a_batch_of_all_beside(tiny_config: Config) -> None:
    config = with_training(tiny_config, augmentation="none", batch_size=8)
    draw = sampler(config, shown(20, 255, 0), replace(shown(300, 0, 0), labels=np.full(300, -1)))
    step = draw(3, seeded(0))
    assert (step.main.x > 0.9).all()
    assert step.teaches_evidence
    assert step.evidence is None
    assert torch.bincount(step.main.label).tolist() == [4, 4]
    assert step.unlabelled is not None
    assert len(step.unlabelled.x) == 4
    assert (step.unlabelled.label == 2).all()
    assert any((draw(k, seeded(k)).unlabelled.x < -0.9).any() for k in range(5))  # type: ignore[union-attr]


def test_without_images_or_weight_for_it_nothing_is_taught_beside(tiny_config: Config) -> None:
    train, others = shown(20, 255, 0), replace(shown(9, 0, 0), labels=np.full(9, -1))
    assert sampler(tiny_config, train)(3, seeded(0)).unlabelled is None
    assert sampler(with_training(tiny_config, generative_weight=0.0), train, others)(3, seeded(0)).unlabelled is None
    assert sampler(with_training(tiny_config, generative_steps=2), train)(3, seeded(0)).unlabelled is not None


def test_evidence_has_levels_of_its_own_where_given_on_the_same_images(tiny_config: Config) -> None:
    config = with_training(tiny_config, evidence_noise_mean=5.0, evidence_noise_std=0.1, batch_size=64)
    step = sampler(config, stripes(60, 1))(3, seeded(0))
    assert step.evidence is not None
    assert torch.equal(step.evidence.x, step.main.x)
    assert torch.equal(step.evidence.label, step.main.label)
    assert step.evidence.sigma.log().mean() == pytest.approx(5.0, abs=0.02)
    assert step.evidence.sigma.log().std() == pytest.approx(0.1, abs=0.02)
    assert step.main.sigma.log().mean() == pytest.approx(-0.8, abs=0.2)
    quantiles = torch.special.ndtr((step.evidence.sigma.log() - 5.0) / 0.1).sort().values
    assert (quantiles * 64 - torch.arange(64)).diff().abs().max() < 1e-2  # one in each stratum


def test_classes_begin_as_no_class() -> None:
    denoiser = build_denoiser(ImageStatistics.blank((1, 8, 8), 3), Config().net)
    before = denoiser.net.embedding.label.weight.detach().clone()
    start_classes_from_none(denoiser, seeded(0))
    after = denoiser.net.embedding.label.weight.detach()
    assert torch.equal(after[3], before[3])
    assert 0 < (after[:3] - before[3]).abs().max() < 0.12
    assert not torch.equal(after[0], after[1])


class _Stop(Exception):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("at", [7, 10, 13])
def test_an_interrupted_run_with_images_without_labels_ends_with_the_same_weights(
    tiny_data: Dataset, tiny_config: Config, tmp_path: Path, at: int
) -> None:
    """Stopped within the generative start, at its end, and after it."""
    data, config = replace(tiny_data, unlabelled=unlabelled(21, 8)), with_training(tiny_config, **GENERATIVE)
    fit_run(data, config, tmp_path / "whole")

    def interrupt(progress: Progress) -> None:
        if progress.state.step == at:
            raise _Stop

    with pytest.raises(_Stop):
        fit_run(data, config, tmp_path / "run", checkpoint_every=1, watch=interrupt)
    with pytest.raises(RunError, match="give the same --unlabelled"):
        fit_run(tiny_data, config, tmp_path / "run", resume=True)
    fit_run(data, config, tmp_path / "run", resume=True)
    assert same_weights(tmp_path / "whole", tmp_path / "run")


@pytest.mark.slow
def test_the_average_begins_anew_with_the_classes(tiny_data: Dataset, tiny_config: Config, tmp_path: Path) -> None:
    heads: dict[int, torch.Tensor] = {}
    averages: dict[int, torch.Tensor] = {}

    def watch(progress: Progress) -> None:
        state, step = progress.state, progress.state.step
        heads[step], averages[step] = (net.net.head.bias.detach().clone() for net in (state.denoiser, state.ema))

    fit_run(tiny_data, with_training(tiny_config, generative_steps=10), tmp_path / "run", watch=watch)
    assert not torch.allclose(averages[10], heads[10])
    torch.testing.assert_close(averages[11], torch.lerp(heads[10], heads[11], 1 - 2 / 11))
