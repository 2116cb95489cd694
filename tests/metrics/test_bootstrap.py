"""Bootstrap intervals against the binomial distribution and each other."""

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from bayescope.metrics import bootstrap as module
from bayescope.metrics.bootstrap import Estimate, bootstrap, by_image, means_of, patient_numbers
from bayescope.types import Floats, Labels


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


def test_each_draw_is_of_as_many_patients_as_there_are_with_all_their_images() -> None:
    seen: list[Labels] = []

    def weights(drawn: Labels) -> Floats:
        seen.append(drawn)
        return drawn[:, :1].astype(float)

    bootstrap(weights, 4, ["a", "b", "b", "b"], n_bootstrap=4000)
    assert seen[0].tolist() == [[1, 1, 1, 1]]
    draws = np.concatenate(seen[1:])
    assert len(draws) == 4000
    share = {(2, 0, 0, 0): 0.25, (1, 1, 1, 1): 0.5, (0, 2, 2, 2): 0.25}
    rows, counts = np.unique(draws, axis=0, return_counts=True)
    assert {tuple(row): count / 4000 for row, count in zip(rows.tolist(), counts, strict=True)} == pytest.approx(
        share, abs=0.03
    )


def test_draws_without_a_value_are_left_out_of_the_interval() -> None:
    def half(weights: Labels) -> Floats:
        known = np.linspace(0, 1, len(weights))
        return np.stack([np.where(known < 0.5, np.nan, known), np.full(len(weights), np.nan)], axis=1)

    some, none = bootstrap(half, 3, n_bootstrap=2001)
    assert (some.low, some.high) == pytest.approx((0.5125, 0.9875), abs=1e-3)
    assert np.isnan([none.value, none.low, none.high]).all()


def test_patients_are_numbered_in_the_order_in_which_they_come() -> None:
    assert patient_numbers(["b", "a", "b", "c"], 4).tolist() == [0, 1, 0, 2]
    assert patient_numbers(None, 3).tolist() == [0, 1, 2]


def test_measures_of_drawn_images_see_each_as_often_as_it_is_drawn() -> None:
    found = by_image(lambda rows: np.array([float(len(rows)), float(rows.sum())]))(np.array([[0, 2, 1], [3, 0, 0]]))
    np.testing.assert_array_equal(found, [[3, 4], [3, 0]])
    np.testing.assert_allclose(
        means_of([[1.0, 4.0], [3.0, 0.0]])(np.array([[1, 1], [0, 5], [3, 1]])), [[2, 2], [3, 0], [1.5, 3]]
    )
