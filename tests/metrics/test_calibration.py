"""Measures of calibration against closed forms, numeric integrals and repetition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm

from bayescope.errors import DataError
from bayescope.metrics.bootstrap import bootstrap, means_of
from bayescope.metrics.calibration import (
    MEASURES,
    assess,
    cllr,
    expected_calibration_error,
    expected_if_calibrated,
    min_cllr,
    reliability_curve,
)
from bayescope.metrics.classification import brier


def exact_ratio(n: int, distance: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    positive = np.arange(n) % 2 == 1
    return rng.normal((positive - 0.5) * distance**2, distance), positive


def integral(distance: float, slope: float = 1.0, offset: float = 0.0) -> float:
    """Expected Cllr of ``slope l + offset`` for the exact log-ratio l of two Gaussians."""

    def cost(sign: int) -> float:
        density = norm(sign * distance**2 / 2, distance)
        ends = (density.mean() - 12 * distance, density.mean() + 12 * distance)
        return quad(lambda l: density.pdf(l) * np.logaddexp(0, -sign * (slope * l + offset)) / np.log(2), *ends)[0]  # noqa: E741

    return (cost(1) + cost(-1)) / 2


@pytest.mark.parametrize(("distance", "slope", "offset"), [(0.5, 1, 0), (2, 1, 0), (4, 1, 0), (2, 3, 0), (2, 1, 1.5)])
def test_cllr_of_gaussian_ratios_is_the_integral(distance: float, slope: float, offset: float) -> None:
    ratio, positive = exact_ratio(1_000_000, distance, 0)
    assert cllr(slope * ratio + offset, positive) == pytest.approx(integral(distance, slope, offset), rel=0.01, abs=0.003)


def test_min_cllr_undoes_any_rising_map_and_finds_the_exact_ratio() -> None:
    ratio, positive = exact_ratio(50_000, 2.0, 1)
    least = min_cllr(ratio, positive)
    assert least == pytest.approx(integral(2.0), abs=0.01)
    assert min_cllr(np.arctan(7 * ratio) - 3, positive) == pytest.approx(least, abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 60), st.integers(0, 10_000), st.integers(0, 3))
def test_min_cllr_never_exceeds_cllr(n: int, seed: int, decimals: int) -> None:
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.4
    positive[:2] = [True, False]
    ratio = rng.normal(0, 3, n).round(decimals)
    assert 0 <= min_cllr(ratio, positive) <= cllr(ratio, positive) + 1e-9
    assert min_cllr(ratio, positive) <= 1 + 1e-9


def test_ratios_that_tell_nothing_or_everything() -> None:
    positive = np.array([True, False, True])
    assert cllr(np.zeros(3), positive) == pytest.approx(1)
    assert min_cllr(np.array([2.0, 1.0, 3.0]), positive) == 0
    assert np.isnan(cllr(np.zeros(2), np.array([True, True])))
    assert np.isnan(min_cllr(np.zeros(2), np.array([False, False])))


def test_calibration_error_of_a_known_distortion() -> None:
    rng = np.random.default_rng(0)
    said = rng.random(400_000)
    positive = rng.random(400_000) < said**2
    assert expected_calibration_error(said, positive, 50) == pytest.approx(1 / 2 - 1 / 3, abs=3e-3)
    assert expected_calibration_error(said**2, positive) < 3e-3
    assert brier(np.stack([1 - said, said], axis=1), positive, positive=1) == pytest.approx(1 / 3 - 2 / 4 + 1 / 3, abs=3e-3)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 60), st.integers(0, 10_000), st.integers(1, 3))
def test_order_of_the_images_is_no_matter(n: int, seed: int, decimals: int) -> None:
    rng = np.random.default_rng(seed)
    said, positive, order = rng.random(n).round(decimals), rng.random(n) < 0.5, rng.permutation(n)
    found = expected_calibration_error(said[order], positive[order])
    assert found == pytest.approx(expected_calibration_error(said, positive))
    curve = reliability_curve(said, positive)
    assert curve.images.sum() == n
    assert (curve.low <= curve.observed + 1e-12).all()
    assert (curve.observed <= curve.high + 1e-12).all()
    assert np.average(curve.predicted, weights=curve.images) == pytest.approx(said.mean())


def test_band_of_a_calibrated_answer_holds_the_diagonal_by_repetition() -> None:
    rng = np.random.default_rng(0)
    held = []
    for _ in range(150):
        said = rng.random(150)
        curve = reliability_curve(said, rng.random(150) < said, 5)
        held.append((curve.low <= curve.predicted) & (curve.predicted <= curve.high))
    assert 0.93 <= np.mean(held) <= 0.995


def test_many_images_of_one_patient_count_once() -> None:
    rng = np.random.default_rng(1)
    said = rng.random(80)
    positive = rng.random(80) < said
    alone = reliability_curve(said, positive, 4)
    tenfold = reliability_curve(said.repeat(10), positive.repeat(10), 4, [f"p{i}" for i in np.arange(80).repeat(10)])
    np.testing.assert_allclose(tenfold.high - tenfold.low, alone.high - alone.low, rtol=0.2)
    unaware = reliability_curve(said.repeat(10), positive.repeat(10), 4)
    assert (unaware.high - unaware.low).mean() < 0.5 * (alone.high - alone.low).mean()


@pytest.mark.slow
def test_intervals_hold_the_truth_about_as_often_as_promised() -> None:
    """Overconfident ratios 2 l: Cllr by integral, ECE and Brier score by a very large sample.

    minCllr of 300 images is biased by itself; its interval is held to less.
    """
    ratio, positive = exact_ratio(400_000, 2.0, 2)
    truth = {
        "Cllr": integral(2.0, 2.0),
        "minCllr": integral(2.0),
        "calibration loss": integral(2.0, 2.0) - integral(2.0),
        "ECE": expected_calibration_error(expit(2 * ratio), positive),
        "Brier score": brier(expit(np.stack([-2 * ratio, 2 * ratio], axis=1)), positive),
    }
    held = dict.fromkeys(MEASURES, 0)
    for seed in range(40):
        ratio, positive = exact_ratio(300, 2.0, 100 + seed)
        (found,) = assess(2 * ratio[:, None], expit(2 * ratio)[:, None], 1 - positive, n_bootstrap=80)
        for name in MEASURES:
            held[name] += found[name].low <= truth[name] <= found[name].high
    assert held.pop("minCllr") >= 26
    assert min(held.values()) >= 32, held


def test_few_images_alone_make_a_calibration_error() -> None:
    """Of exact ratios, whose loss and ECE are zero, and of overconfident ones."""
    ratio, positive = exact_ratio(300, 2.0, 3)
    expected = expected_if_calibrated(expit(ratio))
    assert expected["Cllr"].value == pytest.approx(integral(2.0), abs=0.06)
    assert expected["ECE"].value > 0.02
    assert expected["calibration loss"].value > 0.02
    for slope, is_calibrated in ((1, True), (3, False)):
        said = expit(slope * ratio)
        ece = expected_if_calibrated(said)["ECE"]
        assert (ece.low <= expected_calibration_error(said, positive) <= ece.high) == is_calibrated


def test_every_class_against_the_rest() -> None:
    rng = np.random.default_rng(3)
    posterior = rng.dirichlet(np.ones(3), 90)
    labels = np.arange(90) % 3
    ratio = rng.normal(0, 1, (90, 3))
    found = assess(ratio, posterior, labels, n_bootstrap=20)
    assert len(found) == 3
    assert found[2]["Cllr"].value == pytest.approx(cllr(ratio[:, 2], labels == 2))
    assert found[0]["Brier score"].value == pytest.approx(brier(posterior, labels, positive=0))
    assert found[0]["Cllr"].value == pytest.approx(found[0]["minCllr"].value + found[0]["calibration loss"].value)


def test_an_absent_class_gives_nan_not_a_crash() -> None:
    found = assess(np.zeros((6, 2)), np.full((6, 2), 0.5), np.zeros(6, np.int64), n_bootstrap=10)
    assert np.isnan(found[1]["Cllr"].value)
    assert np.isnan(found[1]["Cllr"].low)
    assert found[1]["Brier score"].value == 0.25


def test_bootstrap_draws_whole_patients() -> None:
    values = np.repeat([0.0, 1.0, 2.0, 3.0], 25)
    mean = means_of(values)
    (by_image,) = bootstrap(mean, 100, n_bootstrap=300)
    (by_patient,) = bootstrap(mean, 100, patients=values.tolist(), n_bootstrap=300)
    assert by_patient.high - by_patient.low > 3 * (by_image.high - by_image.low)
    with pytest.raises(DataError, match="one per image"):
        bootstrap(mean, 100, patients=["a"])
