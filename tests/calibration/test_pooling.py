"""Evidence of several images is added up exactly as the Gaussian model has it, and learned on few groups with caution."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import multivariate_normal

from bayescope.calibration.pooling import FEWEST_GROUPS, GroupPooling
from bayescope.errors import RunError
from bayescope.types import Floats, Labels

EVIDENCE = arrays(float, st.tuples(st.integers(1, 5), st.just(3)), elements=st.floats(-20, 20))


def pooling(correlation: float, offset: tuple[float, ...] = (0.0, 0.0, 0.0)) -> GroupPooling:
    return GroupPooling("breast", None, correlation, offset, (30, 30, 30), True)


def drawn(
    groups: int, views: int, correlation: float, seed: int, separation: float = 1.5
) -> tuple[Floats, list[Labels], Labels]:
    """Evidence of two classes: calibrated Gaussian log-ratios, equally correlated within a class."""
    rng, labels = np.random.default_rng(seed), np.arange(groups) % 2
    common, own = rng.standard_normal((groups, 1)), rng.standard_normal((groups, views))
    noise = separation * (np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own)
    ratio = noise + (labels - 0.5)[:, None] * separation**2
    members = [np.arange(g * views, (g + 1) * views) for g in range(groups)]
    return np.stack([np.zeros(ratio.size), ratio.ravel()], axis=1), members, labels


@pytest.mark.parametrize("correlation", [0.0, 0.35, 0.8])
@pytest.mark.parametrize("views", [1, 2, 4])
def test_it_is_the_joint_likelihood_of_gaussian_views(correlation: float, views: int) -> None:
    """Of three classes of two features, by the joint density of all views."""
    rng = np.random.default_rng(7)
    means = rng.normal(0, 1.5, (3, 2))
    within = np.array([[1.0, 0.3], [0.3, 0.7]])
    among = np.full((views, views), correlation) + (1 - correlation) * np.eye(views)
    x = rng.normal(0, 2, (views, 2))
    of_view = np.array([[multivariate_normal.logpdf(row, mean, within) for mean in means] for row in x])
    joint = np.array([multivariate_normal.logpdf(x.ravel(), np.tile(mean, views), np.kron(among, within)) for mean in means])
    pooled = pooling(correlation).shares(of_view).sum(axis=0)
    np.testing.assert_allclose(pooled - pooled[0], joint - joint[0], atol=1e-9)


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.7])
def test_the_correlation_is_found(correlation: float) -> None:
    evidence, members, labels = drawn(6000, 3, correlation, seed=1)
    found = GroupPooling.fit(evidence, members, labels, "patient")
    assert found.correlation == pytest.approx(correlation, abs=0.05)
    assert np.ptp(found.offset) < 0.15
    assert (found.fitted, found.groups, found.warning) == (True, (3000, 3000), "")


def test_few_groups_give_a_cautious_answer() -> None:
    """Independent images, which the ratio would multiply, are held for correlated ones."""
    few, many = (GroupPooling.fit(*drawn(n, 2, 0.0, seed=2), "patient") for n in (2 * FEWEST_GROUPS, 2000))
    assert many.correlation < 0.1 < 0.5 < few.correlation
    assert "few held-out groups: [5, 5]" in few.warning


def test_too_few_groups_give_the_mean() -> None:
    evidence, members, labels = drawn(2 * FEWEST_GROUPS - 1, 2, 0.3, seed=3)
    found = GroupPooling.fit(evidence, members, labels, "study")
    assert (found.correlation, found.fitted) == (1.0, False)
    assert "[5, 4] held-out groups" in found.warning
    np.testing.assert_allclose(found.shares(evidence[:2]).sum(axis=0), evidence[:2].mean(axis=0))


def test_single_images_teach_nothing() -> None:
    evidence, members, labels = drawn(40, 2, 0.3, seed=4)
    more = np.concatenate([evidence, evidence[:20] * 3])
    alone = [np.array([80 + i]) for i in range(20)]
    assert GroupPooling.fit(more, [*members, *alone], np.r_[labels, labels[:20]], "breast") == GroupPooling.fit(
        evidence, members, labels, "breast"
    )


def test_a_class_of_few_groups_counts_as_much() -> None:
    """The fit does not follow how often a class is seen: at a tenth of the positive groups the offset hardly moves."""
    evidence, members, labels = drawn(4000, 2, 0.4, seed=5)
    fewer = np.flatnonzero((labels == 0) | (np.arange(4000) % 20 == 1))
    even, uneven = (
        GroupPooling.fit(evidence, [members[g] for g in chosen], labels[chosen], "patient")
        for chosen in (np.arange(4000), fewer)
    )
    difference = [found.weight(2) * (found.offset[1] - found.offset[0]) for found in (even, uneven)]
    assert abs(difference[0] - difference[1]) < 0.15


@given(EVIDENCE, st.floats(0, 1))
def test_order_and_one_image(evidence: Floats, correlation: float) -> None:
    found = pooling(correlation, (0.4, -0.1, -0.3))
    np.testing.assert_allclose(found.shares(evidence)[::-1], found.shares(evidence[::-1]))
    np.testing.assert_array_equal(found.shares(evidence[:1]), evidence[:1])


@given(EVIDENCE, st.floats(0, 1), st.floats(0.1, 5), st.integers(0, 4))
def test_more_evidence_in_one_image_is_more_in_all(evidence: Floats, correlation: float, more: float, view: int) -> None:
    found, raised = pooling(correlation, (0.4, -0.1, -0.3)), evidence.copy()
    raised[view % len(evidence), 1] += more
    gain = found.shares(raised).sum(axis=0) - found.shares(evidence).sum(axis=0)
    n = len(evidence)
    assert gain[1] == pytest.approx(more / (1 + (n - 1) * correlation), abs=1e-9)
    assert more / n - 1e-9 <= gain[1] <= more + 1e-9


def test_it_is_read_back() -> None:
    found = GroupPooling.fit(*drawn(40, 2, 0.3, seed=6), "breast", "malignant")
    assert GroupPooling.from_dict(found.to_dict()) == found
    with pytest.raises(RunError, match="Train the model again"):
        GroupPooling.from_dict({"by": "breast"})
