"""Test sets resampled to a prevalence."""

import numpy as np
import pytest
from benchmarks.resample import resample_to_prevalence
from hypothesis import given, settings
from hypothesis import strategies as st

from bayescope.errors import DataError


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 40), min_size=2, max_size=4), st.integers(0, 1000))
def test_resampling_takes_each_image_once_at_the_wanted_rates(counts: list[int], seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    prevalence = np.random.default_rng(seed).dirichlet(np.ones(len(counts)))
    chosen = resample_to_prevalence(labels, prevalence, seed)
    assert len(set(chosen.tolist())) == len(chosen)
    size = (np.array(counts) / prevalence).min()
    np.testing.assert_allclose(np.bincount(labels[chosen], minlength=len(counts)), size * prevalence, atol=0.51)


def test_resampling_to_a_class_without_images_is_refused() -> None:
    with pytest.raises(DataError, match="some of each class"):
        resample_to_prevalence(np.zeros(5, np.int64), np.array([0.9, 0.1]), 0)
