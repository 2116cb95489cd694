"""Bootstrap intervals against the binomial distribution and each other."""

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from bayescope.metrics import bootstrap as module
from bayescope.metrics.bootstrap import Estimate, bootstrap, by_image, means_of


def test_percentiles_of_a_share_are_those_of_the_binomial_distribution() -> None:
    (found,) = bootstrap(means_of(np.arange(100) < 80), 100, n_bootstrap=20_000)
    assert found.value == 0.8
    np.testing.assert_allclose([found.low, found.high], binom(100, 0.8).ppf([0.025, 0.975]) / 100, atol=0.011)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 30), st.integers(0, 10_000))
def test_a_mean_by_weights_is_that_of_the_drawn_images(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, patients = rng.random((n, 2)), rng.integers(0, 4, n).tolist()
    by_weights = bootstrap(means_of(values), n, patients, seed=seed, n_bootstrap=20)
    by_indices = bootstrap(by_image(lambda rows: values[rows].mean(axis=0)), n, patients, seed=seed, n_bootstrap=20)
    for one, other in zip(by_weights, by_indices, strict=True):
        np.testing.assert_allclose([one.value, one.low, one.high], [other.value, other.low, other.high])


def test_a_basic_interval_is_the_percentile_interval_mirrored_at_the_value_and_not_negative() -> None:
    values = np.random.default_rng(0).random(40)
    (percentile,) = bootstrap(means_of(values), 40, n_bootstrap=200)
    (basic,) = bootstrap(means_of(values), 40, kind="basic", n_bootstrap=200)
    assert basic.low == pytest.approx(2 * basic.value - percentile.high)
    assert basic.high == pytest.approx(2 * basic.value - percentile.low)
    (rare,) = bootstrap(means_of(np.arange(40) == 0), 40, kind="basic", n_bootstrap=200)
    assert rare.low == 0


def test_draws_do_not_depend_on_how_many_are_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(30)
    (found,) = bootstrap(means_of(values), 30, n_bootstrap=50)
    monkeypatch.setattr(module, "_WEIGHTS_AT_ONCE", 100)
    (few_at_once,) = bootstrap(means_of(values), 30, n_bootstrap=50)
    assert astuple(few_at_once) == pytest.approx(astuple(found))


def test_an_interval_that_is_not_there_is_a_dash() -> None:
    assert str(Estimate(1.0, float("nan"), float("nan"))) == "1.000 (–)"
    assert str(Estimate(0.5, 0.25, 0.75)) == "0.500 (0.250–0.750)"
    assert Estimate(0.5, 0.25, 0.75).ends(2) == "0.25 to 0.75"
