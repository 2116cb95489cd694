"""What a step of training is shown: the images as they are stored, or changed as the settings say; their noise and levels."""

from typing import Any

import numpy as np
import pytest
import torch

from bayescope.config import Config, parse_config
from bayescope.data.dataset import ImageSet
from bayescope.data.pixel_scale import PixelScale
from bayescope.errors import ConfigError
from bayescope.training.batches import Batch, Sampler, StepBatches
from bayescope.training.losses import draw_levels
from bayescope.training.sampler import seeded
from conftest import stripes


def config_of(tiny_config: Config, **training: Any) -> Config:
    plain = {"augmentation": "none", "batch_size": 20, "intensity": 0.0}
    return parse_config(tiny_config.model_dump() | {"training": tiny_config.training.model_dump() | plain | training})


def step_of(config: Config, images: ImageSet, step: int = 0) -> StepBatches:
    return Sampler(images, None, config, PixelScale.of(images.pixels))(step, seeded(0, step))


def stored(images: ImageSet, batch: Batch) -> ImageSet:
    """The images that the batch is of, found by their pixels."""
    x = PixelScale.of(images.pixels).to_model(images.pixels)
    found = [int(np.flatnonzero((x == row.numpy()).all(axis=(1, 2, 3)))[0]) for row in batch.x]
    return images.subset(np.array(found))


def test_without_augmentation_images_are_shown_as_they_are_stored_with_their_classes(tiny_config: Config) -> None:
    images = stripes(30, 1)
    main = step_of(config_of(tiny_config), images, 3).main
    assert main.label.tolist() == stored(images, main).labels.tolist()
    assert len(set(stored(images, main).names)) == 20


@pytest.mark.parametrize("intensity", [0.0, 0.1, 0.4])
def test_contrast_and_brightness_vary_by_the_intensity_of_the_settings(tiny_config: Config, intensity: float) -> None:
    """Images of one gray level alone can show the brightness: it varies by the intensity, up and down."""
    images = stripes(30, 1)
    flat = ImageSet(np.full_like(images.pixels, 100), images.labels, images.class_names, images.names)
    scale = PixelScale.of(images.pixels)
    sampler = Sampler(flat, None, config_of(tiny_config, intensity=intensity, batch_size=400), scale)
    means = sampler(0, seeded(0)).main.x.mean(dim=(1, 2, 3)) - float(scale.to_model(flat.pixels[:1]).mean())
    assert float(means.abs().max()) == pytest.approx(intensity, rel=0.05, abs=1e-6)
    assert float(means.mean().abs()) <= 0.1 * intensity + 1e-6


@pytest.mark.parametrize(("augmentation", "mirrored"), [("none", False), ("flip", True), ("light", False), ("strong", True)])
def test_the_augmentation_of_the_settings_is_the_one_that_is_made(
    tiny_config: Config, augmentation: str, mirrored: bool
) -> None:
    """Of images whose left column is bright: after mirroring it is the right one."""
    images = stripes(30, 1)
    pixels = np.zeros_like(images.pixels)
    pixels[..., :3] = 200
    left = ImageSet(pixels, images.labels, images.class_names, images.names)
    x = step_of(config_of(tiny_config, augmentation=augmentation, batch_size=100), left).main.x
    turned = (x[..., :3].mean(dim=(1, 2, 3)) < x[..., -3:].mean(dim=(1, 2, 3))).float().mean().item()
    assert turned == pytest.approx(0.5 if mirrored else 0.0, abs=0.15)
    assert torch.equal(x[0], x[1]) == (augmentation == "none")


def test_noise_is_standard_normal_at_the_level_and_labels_are_dropped_as_often_as_set(tiny_config: Config) -> None:
    main = step_of(config_of(tiny_config, batch_size=400, label_dropout=0.3), stripes(30, 1)).main
    noise = (main.z - main.x) / main.sigma[:, None, None, None]
    assert float(noise.mean()) == pytest.approx(0, abs=0.02)
    assert float(noise.std()) == pytest.approx(1, abs=0.02)
    assert main.dropped.float().mean().item() == pytest.approx(0.3, abs=0.06)
    assert not torch.equal(noise[0], noise[1])
    settings = config_of(tiny_config, batch_size=400).training
    levels = draw_levels(settings, 400, 0.5).log()
    assert float(main.sigma.log().mean()) == pytest.approx(float(levels.mean()), abs=0.05)
    assert float(main.sigma.log().std()) == pytest.approx(float(levels.std()), rel=0.05)
    assert float(np.corrcoef(np.arange(400), main.sigma.log())[0, 1]) == pytest.approx(0, abs=0.2)


def test_the_evidence_loss_sets_in_when_it_is_to_and_has_its_own_levels_if_set(tiny_config: Config) -> None:
    images, late = stripes(30, 1), {"steps": 10, "evidence_from": 0.5, "evidence_weight": 0.15}
    config = config_of(tiny_config, **late)
    assert not step_of(config, images, 4).teaches_evidence
    taught = step_of(config, images, 5)
    assert taught.teaches_evidence
    assert taught.evidence is None
    own = step_of(config_of(tiny_config, **late, evidence_noise_mean=3.0, evidence_noise_std=0.1), images, 5)
    assert own.evidence is not None
    assert torch.equal(own.evidence.x, own.main.x)
    assert torch.equal(own.evidence.label, own.main.label)
    assert float(own.evidence.sigma.log().mean()) == pytest.approx(3.0, abs=0.1)
    assert float(own.main.sigma.log().mean()) < 1
    assert not step_of(config_of(tiny_config, **late | {"evidence_weight": 0.0}), images, 9).teaches_evidence


def test_a_batch_is_split_and_picked_from_with_all_that_belongs_to_an_image(tiny_config: Config) -> None:
    batch = step_of(config_of(tiny_config, label_dropout=0.5), stripes(30, 1)).main
    in_turn, shared, dropped = batch.split(8), [batch.part(i, 3) for i in range(3)], batch.only_dropped()
    assert [len(part.x) for part in in_turn] == [8, 8, 4]
    assert [len(part.x) for part in shared] == [6, 7, 7]
    for name in ("x", "z", "sigma", "label", "dropped"):
        whole = getattr(batch, name)
        for parts in (in_turn, shared):
            assert torch.equal(torch.cat([getattr(part, name) for part in parts]), whole)
            for part in parts:
                assert torch.equal(getattr(part, name), whole[part.rows.slice])
                assert torch.equal(getattr(part.only_dropped(), name), getattr(dropped, name)[part.dropped_rows.slice])
        assert torch.equal(getattr(dropped, name), whole[batch.dropped])


@pytest.mark.parametrize("settings", [{}, {"evidence_noise_mean": 0.5}, {"generative_steps": 9}, {"augmentation": "strong"}])
@pytest.mark.parametrize("processes", [2, 3])
def test_what_processes_draw_together_is_what_one_draws(tiny_config: Config, settings: dict[str, Any], processes: int) -> None:
    images, config = stripes(30, 1), config_of(tiny_config, steps=20, evidence_weight=0.1, **settings)

    def drawn(process: int, processes: int, step: int) -> list[Batch]:
        sampler = Sampler(images, stripes(9, 2), config, PixelScale.of(images.pixels), process, processes)
        return [part for part in sampler(step, seeded(0, step)) if isinstance(part, Batch)]

    for step in (0, 12):
        whole, shares = drawn(0, 1, step), [drawn(i, processes, step) for i in range(processes)]
        assert len(whole) >= (1 if "generative_steps" in settings and step == 0 else 2)
        for i, batch in enumerate(whole):
            for name in ("x", "z", "sigma", "label", "dropped"):
                assert torch.equal(torch.cat([getattr(share[i], name) for share in shares]), getattr(batch, name))


def test_a_batch_is_not_divided_into_more_parts_than_it_has_images(tiny_config: Config) -> None:
    images = stripes(30, 1)
    scale = PixelScale.of(images.pixels)
    for config, unlabelled, processes in (
        (config_of(tiny_config, batch_size=4, accumulate=3), None, 2),
        (config_of(tiny_config, batch_size=4, accumulate=3), stripes(9, 2), 1),
    ):
        with pytest.raises(ConfigError, match="an image or more in each"):
            Sampler(images, unlabelled, config, scale, 0, processes)
    Sampler(images, None, config_of(tiny_config, batch_size=4, accumulate=4), scale)


def test_a_step_is_a_function_of_seed_and_step(tiny_config: Config) -> None:
    images = stripes(30, 1)
    config = config_of(tiny_config, augmentation="strong", intensity=0.1)
    one, again, other = (step_of(config, images, step).main for step in (2, 2, 3))
    assert torch.equal(one.z, again.z)
    assert not torch.equal(one.z, other.z)
    plain = config_of(tiny_config)
    reseeded = parse_config(plain.model_dump() | {"seed": 1})
    names = [stored(images, step_of(settings, images, 2).main).names for settings in (plain, plain, reseeded)]
    assert names[0] == names[1] != names[2]
