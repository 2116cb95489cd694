"""p-values of images like the held-out ones are uniform, of others small; by repetition, on made-up errors and an oracle."""

import json

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from bayescope.diffusion.gaussian import Component, GaussianMixtureDenoiser
from bayescope.errors import DataError, RunError
from bayescope.evidence.denoising import level_evidence
from bayescope.evidence.noise import draw_noise
from bayescope.inference.novelty import NoveltyTest, fit_novelty, image_features
from bayescope.metrics.delong import one_vs_rest_auc

LEVELS = 8
SHAPE = (1, 8, 8)


def log_errors(n: int, seed: int) -> np.ndarray:
    """Correlated, skewed and of unequal spread: nothing of the normal."""
    rng = np.random.default_rng(seed)
    walk = rng.gamma(2.0, 1.0, (n, LEVELS)).cumsum(axis=1)
    return 5 + 0.05 * walk * np.arange(1, LEVELS + 1)


@pytest.mark.slow
@pytest.mark.parametrize("held_out", [40, 300])
def test_p_values_of_exchangeable_images_are_uniform(held_out: int) -> None:
    p_values = [fit_novelty(log_errors(held_out, seed))(log_errors(5, 10_000 + seed)).p_value for seed in range(150)]
    p = np.concatenate(p_values)
    assert kstest(p, "uniform").statistic < 0.06
    for level in (0.05, 0.1, 0.2):
        assert np.mean(p <= level) < level + 0.03


def test_odd_images_are_found_whichever_way_they_are_odd() -> None:
    test, usual = fit_novelty(log_errors(400, 0)), log_errors(50, 1)
    spread = log_errors(400, 0).std(axis=0)
    worse, better = usual + 6 * spread, usual - 6 * spread
    one_level = usual + 8 * spread * np.eye(LEVELS)[3]
    broken_pattern = usual.mean(axis=0) + 1.5 * spread * (-1.0) ** np.arange(LEVELS) * np.ones((50, 1))
    for odd in (worse, better, one_level, broken_pattern):
        assert (test(odd).p_value <= 0.01).mean() > 0.95
        assert one_vs_rest_auc(np.r_[test(usual).score, test(odd).score], np.arange(100) >= 50) > 0.99
    assert (test(worse).deviation > 0).all()
    assert test(one_level).deviation.mean(axis=0).argmax() == 3


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_common_shift_of_like_levels_is_not_drowned_by_their_number(sign: int) -> None:
    """Four standard deviations at every level: a distance over eight levels alone puts it at about 4 %."""
    rng = np.random.default_rng(0)
    together = rng.normal(0, 1, (2000, 1)) + rng.normal(0, 0.5, (2000, LEVELS))
    shifted = np.full((1, LEVELS), sign * 4 * together.std())
    assert fit_novelty(together)(shifted).p_value[0] <= 0.01


def test_smallest_p_value_and_warnings() -> None:
    test = fit_novelty(log_errors(119, 2))
    novelty_result = test(np.stack([np.full(LEVELS, 1e3), log_errors(119, 2).mean(axis=0)]))
    assert test.images == 119
    assert novelty_result.p_value[0] == pytest.approx(1 / 120)
    assert novelty_result.p_value[1] > 0.5
    assert novelty_result.warnings() == ["unlike the training images (p = 0.0083)", ""]


def test_few_held_out_images_still_warn_of_what_is_odder_than_all_of_them() -> None:
    novelty_result = fit_novelty(log_errors(40, 0))(np.stack([np.full(LEVELS, 1e3), log_errors(40, 0).mean(axis=0)]))
    assert novelty_result.p_value[0] == pytest.approx(1 / 41)
    assert novelty_result.warnings() == ["unlike the training images (p = 0.024)", ""]


def test_an_images_result_does_not_depend_on_its_batch() -> None:
    test, images = fit_novelty(log_errors(60, 3)), log_errors(7, 4)
    whole, first = test(images), test(images[:1])
    np.testing.assert_array_equal(whole.p_value[:1], first.p_value)
    np.testing.assert_allclose(whole.score[:1], first.score, rtol=1e-12)


def test_units_of_the_levels_are_no_matter() -> None:
    scale = 10.0 ** np.arange(-4, 4)
    plain = fit_novelty(log_errors(80, 5))(log_errors(9, 6))
    scaled = fit_novelty(log_errors(80, 5) * scale)(log_errors(9, 6) * scale)
    np.testing.assert_allclose(scaled.score, plain.score, rtol=1e-6)


def test_json_round_trip_is_exact() -> None:
    test, images = fit_novelty(log_errors(50, 7)), log_errors(6, 8)
    again = NoveltyTest.from_dict(json.loads(json.dumps(test.to_dict(), allow_nan=False)))
    np.testing.assert_array_equal(again(images).p_value, test(images).p_value)
    np.testing.assert_array_equal(again(images).score, test(images).score)
    for broken in ({}, {"folds": [{"mean": [1]}]}, {"folds": 3}):
        with pytest.raises(RunError, match="Score the images again"):
            NoveltyTest.from_dict(broken)


def test_too_few_or_unfit_images_are_refused() -> None:
    with pytest.raises(DataError, match="at least 20"):
        fit_novelty(log_errors(19, 0))
    with pytest.raises(DataError, match="expected finite"):
        fit_novelty(np.full((30, LEVELS), np.nan))


def test_features_are_log_errors_brightness_and_contrast() -> None:
    x = torch.tensor([[[[0.5, 0.1], [0.5, 0.1]]], [[[0.2, 0.2], [0.2, 0.2]]]])
    found = image_features(np.array([[-5.0, -2.0], [0.0, -1.0]]), x)
    np.testing.assert_allclose(found[0], [*np.log([5.0, 2.0]), 0.3, np.log(0.2)], rtol=1e-6)
    assert np.isfinite(found).all()
    assert found[1, 2:] == pytest.approx([0.2, np.log(2 / 255)])


def test_on_the_oracle_smooth_images_are_usual_and_noisy_blank_or_shifted_ones_are_not() -> None:
    axis = np.arange(64)
    rows, columns = axis // 8, axis % 8
    distance = np.hypot(rows[:, None] - rows, columns[:, None] - columns)
    covariance = torch.from_numpy(0.25 * np.exp(-distance / 3) + 0.01 * np.eye(64))
    means = [torch.zeros(SHAPE), torch.full(SHAPE, 0.3)]
    oracle = GaussianMixtureDenoiser([[Component(mean, covariance)] for mean in means])
    root = torch.linalg.cholesky(covariance)
    sigmas, noise = np.geomspace(0.05, 3, 6), draw_noise(6, 2, SHAPE, 0).double()

    def images(n: int, seed: int) -> torch.Tensor:
        white = torch.randn(n, 64, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        return (white @ root.T).reshape(n, *SHAPE) + torch.stack(means).double()[torch.arange(n) % 2]

    def errors(x: torch.Tensor) -> np.ndarray:
        values = level_evidence(oracle, x, sigmas, noise).values
        leader = values.sum(axis=(2, 3)).argmax(axis=1)
        return image_features(values[np.arange(len(x)), leader, :, 0], x)

    test, usual = fit_novelty(errors(images(200, 1))), images(60, 2)
    assert kstest(test(errors(usual)).p_value, "uniform").pvalue > 0.01
    grain = torch.randn(60, *SHAPE, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    for odd in (usual + 0.3 * grain, torch.zeros_like(usual), usual + 3, usual.flip(2) * 2.5):
        assert np.median(test(errors(odd)).p_value) < 0.02
