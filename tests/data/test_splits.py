"""Random parts of an array of images: stratified, with whole patients."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from bayescope.data.splits import hold_out
from bayescope.errors import ConfigError


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 5), st.sampled_from([0.1, 0.2, 0.5, 0.9]))
def test_no_patient_is_in_both_parts(seed: int, most: int, fraction: float) -> None:
    rng = np.random.default_rng(seed)
    groups = np.repeat([f"p{i}" for i in range(60)], rng.integers(1, most + 1, 60))
    labels = rng.integers(0, 3, len(groups))
    train, held_out = hold_out(labels, fraction, seed % 100, groups.tolist())
    assert sorted([*train, *held_out]) == list(range(len(labels)))
    assert not set(groups[train]) & set(groups[held_out])
    if len(held_out):
        assert set(labels[train]) == set(labels[held_out]) == {0, 1, 2}
        assert len(held_out) / len(labels) == pytest.approx(min(fraction, 0.5), abs=0.1)


def test_without_patients_it_is_the_stratified_split_of_scikit_learn() -> None:
    labels = np.arange(95) % 3
    expected = train_test_split(np.arange(95), test_size=19, stratify=labels, random_state=4)
    for found, part in zip(hold_out(labels, 0.2, 4), expected, strict=True):
        np.testing.assert_array_equal(found, part)


@pytest.mark.parametrize(
    ("labels", "fraction", "groups"),
    [
        ([0, 1] * 30, 0.1, None),
        ([0] * 99 + [1], 0.2, None),
        ([0, 1] * 50, 0.0, None),
        ([0] * 50 + [1] * 50, 0.2, ["a"] * 50 + ["b"] * 50),
    ],
    ids=["fewer than 8", "a class of one image", "no share", "a class of one patient"],
)
def test_none_are_held_out_where_a_part_would_lack_images(labels: list[int], fraction: float, groups: list[str] | None) -> None:
    train, held_out = hold_out(np.array(labels), fraction, 0, groups)
    assert len(train) == len(labels)
    assert len(held_out) == 0


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_a_share_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(ConfigError, match="validation_fraction"):
        hold_out(np.arange(40) % 2, fraction, 0)
