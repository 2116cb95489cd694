"""Common spatial patterns find what differs in variance between classes."""

import pytest
import torch
from torch.nn import functional as F

from bayescope.diffusion.nets.csp import common_spatial_patterns


def textures(n: int = 300, shape: tuple[int, int] = (9, 13), strength: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """White noise in two channels; class 1 has a diagonal texture in its second channel."""
    generator = torch.Generator().manual_seed(0)
    x, label = torch.randn(n, 2, *shape, generator=generator), torch.arange(n) % 2
    kernel = torch.diag(torch.tensor([1.0, -1.0, 1.0]))[None, None]
    texture = F.conv2d(torch.randn(n, 1, *shape, generator=generator), kernel, padding=1)
    x[:, 1:] += strength * label[:, None, None, None] * texture
    return x, label


def response(x: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    """Mean square of each filter's response to each image: ``(n, count)``."""
    return F.conv2d(x, filters, padding=filters.shape[-1] // 2).square().mean(dim=(2, 3))


def test_filters_are_of_unit_response_in_both_signs() -> None:
    x, label = textures()
    filters = common_spatial_patterns(x, label, 2, 3, 8)
    assert filters.shape == (8, 2, 3, 3)
    assert filters.dtype == x.dtype
    torch.testing.assert_close(filters[::2], -filters[1::2])
    mean = (response(x[label == 0], filters).mean(dim=0) + response(x[label == 1], filters).mean(dim=0)) / 2
    torch.testing.assert_close(mean, torch.ones(8), atol=0.02, rtol=0)


def test_the_first_filter_tells_the_classes_apart_better_than_any_at_random() -> None:
    x, label = textures()
    filters = common_spatial_patterns(x, label, 2, 3, 4)
    assert filters[0, 1].abs().max() > 5 * filters[0, 0].abs().max()  # the channel that differs

    def separation(each: torch.Tensor) -> torch.Tensor:
        found = response(x, each)
        means = torch.stack([found[label == k].mean(dim=0) for k in range(2)])
        return (means[0] - means[1]).abs() / means.mean(dim=0)

    random = torch.randn(200, 2, 3, 3, generator=torch.Generator().manual_seed(1))
    assert separation(filters[:1])[0] > separation(random).max()


@pytest.mark.parametrize("count", [1, 3, 7])
def test_as_many_as_asked_for_and_classes_take_turns(count: int) -> None:
    x, label = textures(60)
    label = torch.arange(60) % 3
    assert common_spatial_patterns(x, label, 3, 5, count).shape == (count, 2, 5, 5)


def test_how_images_are_scaled_or_repeated_does_not_matter() -> None:
    x, label = textures(100)
    filters = common_spatial_patterns(x, label, 2, 3, 2)[:1]
    scaled = 10 * common_spatial_patterns(10 * x, label, 2, 3, 2)[:1]
    repeated = common_spatial_patterns(torch.cat([x] * 4), torch.cat([label] * 4), 2, 3, 2)[:1]
    for other in (scaled, repeated):
        torch.testing.assert_close(other * (other * filters).sum().sign(), filters, atol=1e-3, rtol=1e-3)
