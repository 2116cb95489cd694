"""Augmentation: its strength by the number of images, each image changed its own way, ranges kept."""

import pytest
import torch

from bayescope.training.augmentation import LIGHT, STRONG, Affine, Augment, Compose, Flip, Intensity, build_augmentation
from bayescope.training.sampler import seeded


def test_augmentation_goes_by_the_number_of_images() -> None:
    assert build_augmentation("auto", 500) == STRONG
    assert build_augmentation("auto", 5000) == LIGHT
    assert build_augmentation("auto", 50_000) is None
    assert build_augmentation("none", 500) is None


def test_a_stronger_augmentation_has_wider_ranges_and_none_at_all_changes_nothing() -> None:
    assert build_augmentation("light", 5000, strength=1.5) == Affine(
        degrees=7.5, shift=0.05 * 1.5, scale=0.05 * 1.5, flip=False
    )
    assert build_augmentation("strong", 500, intensity=0.2, strength=0.0) is None
    x = torch.randn(200, 1, 6, 6, generator=seeded(1))
    jitter = build_augmentation("none", 500, intensity=0.1, strength=2.0)
    assert jitter is not None
    torch.testing.assert_close(jitter(x, seeded(0)), Intensity(0.2, 0.1)(x, seeded(0)))


@pytest.mark.parametrize("augment", [STRONG, Flip(), Compose(LIGHT, Intensity(0.2, 0.1))])
def test_how_many_images_come_at_a_time_does_not_matter(augment: Augment) -> None:
    x = torch.rand(9, 1, 5, 7)
    whole, change = augment(x, seeded(0)), augment.in_turn(9, seeded(0))
    torch.testing.assert_close(torch.cat([change(x[:2]), change(x[2:3]), change(x[3:])]), whole)
    assert not torch.allclose(whole, x)


def test_augmentation_moves_each_image_its_own_way_and_keeps_the_shape() -> None:
    x = torch.rand(2, 1, 5, 7)
    moved = STRONG(torch.cat([x[:1], x[:1]]), seeded(0))
    assert moved.shape == x.shape
    assert not torch.allclose(moved[0], moved[1])


def test_intensity_keeps_each_image_s_pattern_within_its_ranges() -> None:
    x = torch.randn(64, 1, 6, 6, generator=seeded(1))
    changed = Intensity(0.2, 0.1)(x, seeded(0))
    shift = (changed - x).mean(dim=(1, 2, 3))
    stretch = (changed - changed.mean(dim=(1, 2, 3), keepdim=True)) / (x - x.mean(dim=(1, 2, 3), keepdim=True))
    factor = stretch.flatten(1).median(dim=1).values
    torch.testing.assert_close(stretch, factor[:, None, None, None].expand_as(stretch), atol=1e-3, rtol=1e-3)
    assert 0.15 < factor.log().abs().max() <= 0.2 + 1e-4
    assert 0.15 < shift.abs().max() <= 0.2 + 1e-6
    assert shift.unique().numel() == len(x)


def test_intensity_comes_on_top_of_the_affine_choice() -> None:
    x = torch.ones(8, 1, 6, 6)
    augment = build_augmentation("light", 500, intensity=0.2)
    assert augment is not None
    assert augment(x, seeded(0)).mean(dim=(1, 2, 3)).std() > 0.01
    assert torch.allclose(LIGHT(x, seeded(0)), x)
