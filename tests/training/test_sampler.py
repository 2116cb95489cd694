"""Class-balanced drawing, a function of seed and step."""

import numpy as np
import torch

from bayescope.training.sampler import BalancedSampler, seeded


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
