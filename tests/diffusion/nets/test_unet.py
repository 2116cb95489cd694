"""The default network: any image side, each row by itself, the short cuts equal to the plain pass, all of it learns."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bayescope.diffusion.nets.unet import Stem, UNet, _place

LOG_SIGMA = torch.tensor([-1.2, 0.7])


@pytest.fixture(params=[(2, 1), (4, 2)], ids=["fold 2", "fold 4, two blocks"])
def net(request: pytest.FixtureRequest) -> UNet:
    torch.manual_seed(0)
    fold, blocks = request.param
    return UNet(1, 3, (8, 12, 16), blocks, dropout=0.3, fold=fold).eval()


@settings(max_examples=20, deadline=None)
@given(channels=st.integers(1, 3), height=st.integers(1, 21), width=st.integers(1, 21), fold=st.sampled_from([2, 4]))
def test_any_image_side(channels: int, height: int, width: int, fold: int) -> None:
    z = torch.randn(2, channels, height, width)
    assert UNet(channels, 3, (8, 8, 8), fold=fold)(z, LOG_SIGMA, torch.tensor([0, 3])).shape == z.shape


def test_each_image_by_itself_and_level_and_label_matter(net: UNet) -> None:
    z, label = torch.randn(2, 1, 5, 7), torch.tensor([0, 2])
    output = net(z, LOG_SIGMA, label)
    torch.testing.assert_close(net(z[:1], LOG_SIGMA[:1], label[:1]), output[:1])
    for other in (net(z, LOG_SIGMA + 0.5, label), net(z, LOG_SIGMA, 2 - label)):
        assert (other - output).abs().amax(dim=(1, 2, 3)).min() > 1e-4


@pytest.mark.parametrize("append_image", [True, False])
def test_the_stem_is_two_convolutions_of_all_their_inputs(append_image: bool) -> None:
    """Which it computes in parts: what images share, once."""
    torch.manual_seed(0)
    stem = Stem(2, 8, append_image, side=4)
    z = torch.randn(3, 2, 8, 12)
    features = torch.nn.functional.silu(stem.filters(torch.cat([z, _place(z)], dim=1)))
    whole = stem.fold(torch.cat([features, z], dim=1) if append_image else features)
    torch.testing.assert_close(stem(z), whole)


def test_no_class_is_a_label_of_its_own(net: UNet) -> None:
    z = torch.randn(1, 1, 5, 7).expand(4, -1, -1, -1)
    under = net(z, torch.zeros(4), torch.arange(4))
    assert all((under[k] - under[3]).abs().max() > 1e-4 for k in range(3))
    with pytest.raises(IndexError):
        net(z[:1], torch.zeros(1), torch.tensor([4]))


def test_a_batch_under_several_labels_in_turn_equals_one_by_one(net: UNet) -> None:
    z, label = torch.randn(2, 1, 5, 7), torch.tensor([0, 1, 3, 2, 1, 1])
    together = net(z, LOG_SIGMA, label).unflatten(0, (3, 2))
    for turn, labels in enumerate(label.unflatten(0, (3, 2))):
        torch.testing.assert_close(together[turn], net(z, LOG_SIGMA, labels))


def test_a_ready_modulation_equals_the_plain_pass(net: UNet) -> None:
    z, image, label = torch.randn(2, 1, 5, 7), torch.tensor([1, 0, 1, 1]), torch.tensor([2, 2, 0, 3])
    ready = net.under(z, image, net.modulate(LOG_SIGMA[image], label))
    torch.testing.assert_close(ready, net(z[image], LOG_SIGMA[image], label))


def test_position_is_seen() -> None:
    """A constant image, with a stem that sees its place: not the same everywhere away from the border."""
    torch.manual_seed(0)
    output = UNet(1, 2, (8,))(torch.zeros(1, 1, 40, 56), torch.zeros(1), torch.zeros(1, dtype=torch.long))
    middle = output[0, 0, 12:-12:2, 12:-12:2]
    assert middle.std(dim=0).max() > 1e-4
    assert middle.std(dim=1).max() > 1e-4


def test_the_gradient_reaches_every_parameter(net: UNet) -> None:
    z, label = torch.randn(2, 1, 9, 12), torch.tensor([0, 1, 2, 3, 3, 0, 1, 2])
    net(z, LOG_SIGMA, label).square().sum().backward()
    assert [name for name, value in net.named_parameters() if value.grad is None or not value.grad.any()] == []


def test_dropout_is_for_training(net: UNet) -> None:
    z, label = torch.randn(2, 1, 5, 7), torch.tensor([0, 1])
    assert torch.equal(net(z, LOG_SIGMA, label), net(z, LOG_SIGMA, label))
    net.train()
    assert not torch.equal(net(z, LOG_SIGMA, label), net(z, LOG_SIGMA, label))


def test_the_stem_begins_with_the_filters_given(net: UNet) -> None:
    filters = torch.randn(4, 1, 7, 7)
    before = net.stem.filters.weight.detach().clone()
    net.stem.start_from(filters)
    assert torch.equal(net.stem.filters.weight[:4, :1], filters)
    assert torch.equal(net.stem.filters.weight[4:], before[4:])
    assert torch.equal(net.stem.filters.weight[:4, 1:], before[:4, 1:])
    assert net.ends == (net.stem.filters, net.head)
    assert net.class_embedding.weight.shape[0] == 4
