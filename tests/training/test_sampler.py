"""Class-balanced drawing, a function of seed and step."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from bayescope.training.sampler import SHARDS_IN_WINDOW, BalancedSampler, ShardOrder, seeded


def test_draws_are_balanced_and_see_every_image_once_per_pass() -> None:
    labels = np.array([0] * 30 + [1] * 6)
    draws = BalancedSampler(labels, 2, 12, seed=0)
    drawn = np.concatenate([draws(step).numpy() for step in range(5)])
    assert np.bincount(labels[drawn]).tolist() == [30, 30]
    assert sorted(drawn[labels[drawn] == 0]) == list(range(30))
    np.testing.assert_array_equal(draws(3), BalancedSampler(labels, 2, 12, seed=0)(3))


def test_each_pass_over_a_class_is_shuffled_anew() -> None:
    labels = np.repeat([0, 1, 2], 8)
    draws = BalancedSampler(labels, 3, 24, seed=0)
    first, second = (draws(step)[::3].tolist() for step in range(2))
    assert sorted(first) == sorted(second) == list(range(8))
    assert first != second
    assert first != BalancedSampler(labels, 3, 24, seed=1)(0)[::3].tolist()


def test_a_generator_depends_on_all_of_its_key() -> None:
    keys = [(0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1, 1), (1, 1, 1), (0, 0, 2)]
    drawn = {tuple(torch.rand(3, generator=seeded(*key)).tolist()) for key in keys}
    assert len(drawn) == len(keys)
    assert torch.equal(torch.rand(3, generator=seeded(0, 1, 2)), torch.rand(3, generator=seeded(0, 1, 2)))


@given(st.integers(1, 700), st.integers(1, 20), st.integers(0, 5))
def test_shards_have_each_image_once(n: int, shard: int, seed: int) -> None:
    order = ShardOrder(n, shard, seed)
    assert sorted(order[place] for place in range(n)) == list(range(n))


def test_a_window_is_of_few_stretches_from_all_over_the_file_and_mixed_image_by_image() -> None:
    n, shard = 100_000, 25
    order = ShardOrder(n, shard, 0)
    window = np.array([order[place] for place in range(SHARDS_IN_WINDOW * shard // 2)])
    stretches = 1 + (np.diff(np.sort(window)) > shard).sum()
    assert stretches <= SHARDS_IN_WINDOW
    assert np.histogram(window, 4, (0, n))[0].min() > 0.1 * len(window)
    neighbours = np.abs(np.diff(window)) < shard
    assert neighbours.mean() < 4 / SHARDS_IN_WINDOW
    assert np.abs(np.corrcoef(np.arange(len(window)), window)[0, 1]) < 0.1
    other = ShardOrder(n, shard, 1)
    assert len({order[place] % shard for place in range(50)} | {other[place] % shard for place in range(50)}) > 1
    assert [order[place] for place in range(50)] != [other[place] for place in range(50)]


def test_a_large_class_is_drawn_in_shards_evenly_with_the_others() -> None:
    labels = np.r_[np.zeros(3000, int), np.ones(40, int)]
    draws = BalancedSampler(labels, 2, 60, seed=0, shard=5)
    drawn = np.concatenate([draws(step).numpy() for step in range(10)])
    assert np.bincount(labels[drawn]).tolist() == [300, 300]
    large = np.unique(drawn[labels[drawn] == 0])
    assert len(large) == 300
    assert 1 + (np.diff(large) > 5).sum() <= SHARDS_IN_WINDOW
    assert set(np.bincount(drawn[labels[drawn] == 1] - 3000)) == {7, 8}
