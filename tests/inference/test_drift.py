"""Drift: how often it is reported where there is none, what is found of what there is, and what a prevalence looks like."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ks_2samp, norm

from bayescope.errors import RunError
from bayescope.inference.drift import DriftTest, DriftWatch, Observation, Reference

_IMAGES = 300


def draw(generator: np.random.Generator, n: int, share: float = 0.5, shift: float = 0.0) -> np.ndarray:
    """Log-likelihood ratios of a signal of two standard deviations, ``share`` of the images having it."""
    ill = generator.random(n) < share
    z = norm.rvs(size=n, random_state=generator) + shift + np.where(ill, 1.0, -1.0)
    return np.column_stack([2 * z, -2 * z])


def watch_of(generator: np.random.Generator, window: int = 40, alpha: float = 0.05) -> DriftWatch:
    return DriftWatch(DriftTest(_IMAGES, draw(generator, _IMAGES), window, alpha))


def fed(watch: DriftWatch, p_values: np.ndarray, ratios: np.ndarray) -> tuple[DriftWatch, list[bool]]:
    """The watch after these images, and whether each of its comparisons alarmed."""
    alarms = []
    for p, ratio in zip(p_values, ratios, strict=True):
        after = watch.with_image(Observation("", float(p), tuple(ratio)))
        if after.look is not watch.look:
            assert after.look is not None
            alarms.append(after.look.novelty_alarm or after.look.ratio_alarm)
        watch = after
    return watch, alarms


def p_values(generator: np.random.Generator, n: int) -> np.ndarray:
    """As the novelty test gives images like the held-out ones."""
    return generator.integers(1, _IMAGES + 2, n) / (_IMAGES + 1)


@pytest.mark.slow
@pytest.mark.parametrize(("looks", "sites"), [(1000, 1), (30, 60)])
def test_false_alarms_are_as_rare_as_promised_over_all_looks(looks: int, sites: int) -> None:
    false = 0
    for seed in range(sites):
        generator = np.random.default_rng(seed)
        n = 40 + 10 * (looks - 1)
        watch, alarms = fed(watch_of(generator, alpha=0.1), p_values(generator, n), draw(generator, n))
        assert len(alarms) == looks
        assert watch.look is not None
        assert watch.look.number == looks
        false += any(alarms)
    assert false <= 0.1 * sites + 2 * np.sqrt(0.1 * 0.9 * sites)


def test_a_shift_of_the_ratios_is_found() -> None:
    generator = np.random.default_rng(0)
    found = 0
    for _ in range(20):
        watch, alarms = fed(watch_of(generator, 100), p_values(generator, 100), draw(generator, 100, shift=1.0))
        found += alarms == [True]
        assert watch.look is not None
        assert not watch.look.novelty_alarm
    assert found >= 19


def test_images_unlike_the_validation_images_are_found() -> None:
    generator = np.random.default_rng(0)
    watch, alarms = fed(watch_of(generator, 100), p_values(generator, 100) ** 3, draw(generator, 100))
    assert alarms == [True]
    assert watch.look is not None
    assert watch.look.novelty_alarm
    assert "unlike the validation images" in watch.summary()["finding"]


def test_another_prevalence_shifts_the_ratios_and_no_p_value_of_novelty() -> None:
    generator = np.random.default_rng(0)
    watch, _ = fed(watch_of(generator, 200), p_values(generator, 200), draw(generator, 200, share=0.1))
    assert watch.look is not None
    assert (watch.look.novelty_alarm, watch.look.ratio_alarm) == (False, True)
    assert "bayescope prevalence" in watch.summary()["finding"]


@pytest.mark.slow
def test_the_share_of_alpha_of_all_looks_together_is_alpha() -> None:
    test, found = DriftTest(99, alpha=0.05), [Observation("", 0.5, ())]
    spent = sum(test(found, number).threshold for number in range(1, 3000))
    assert 0.0499 < spent < 0.05
    both = DriftTest(99, np.zeros((9, 2)), alpha=0.05)
    assert both([Observation("", 0.5, (0.0, 0.0))], 1).threshold == pytest.approx(0.05 * 6 / np.pi**2 / 2)


def test_the_p_values_are_those_of_the_kolmogorov_smirnov_test() -> None:
    generator = np.random.default_rng(0)
    ratios, found = generator.normal(size=(50, 3)), generator.normal(size=(30, 3))
    p = generator.random(30)
    look = DriftTest(9, ratios)([Observation("", float(q), tuple(row)) for q, row in zip(p, found, strict=True)], 1)
    by_class = [ks_2samp(found[:, k], ratios[:, k], method="asymp").pvalue for k in range(3)]
    assert look.ratio_p_value == pytest.approx(3 * min(by_class))
    assert look.novelty_p_value == pytest.approx(ks_2samp(p, np.arange(1, 10) / 10, method="asymp").pvalue)


def test_images_of_one_source_count_once_while_they_are_among_the_last() -> None:
    watch = DriftWatch(DriftTest(99, window=20))
    once = watch.with_image(Observation("a", 0.5, ()))
    assert once.with_image(Observation("a", 0.1, ())) is once
    for i in range(20):
        once = once.with_image(Observation(f"{i}", 0.5, ()))
    assert once.with_image(Observation("a", 0.1, ())) is not once


def test_without_anything_to_compare_with_there_is_no_alarm() -> None:
    watch = DriftWatch(DriftTest(0, None, window=20))
    for _ in range(30):
        watch = watch.with_image(Observation("", None, (9.0, -9.0)))
    assert watch.look is not None
    assert (watch.look.novelty_p_value, watch.look.ratio_p_value) == (None, None)
    assert not watch.look.novelty_alarm


def test_a_watch_that_is_written_and_read_goes_on_as_it_would_have() -> None:
    generator = np.random.default_rng(0)
    p, ratios = p_values(generator, 130), draw(generator, 130)
    watch = watch_of(generator)
    whole, _ = fed(watch, p, ratios)
    half, _ = fed(watch, p[:73], ratios[:73])
    kept = json.loads(json.dumps(half.to_dict()))
    assert fed(DriftWatch.from_dict(watch.test, kept), p[73:], ratios[73:])[0] == whole
    narrower = DriftWatch.from_dict(replace(watch.test, window=30), kept)
    assert len(narrower.last) == 30


def test_what_is_no_state_is_refused() -> None:
    with pytest.raises(RunError, match="drift watch cannot be read"):
        DriftWatch.from_dict(DriftTest(9), {"last": [[1]]})


def test_a_reference_is_written_and_read() -> None:
    reference = Reference(np.arange(6.0).reshape(3, 2))
    read = Reference.from_dict(json.loads(json.dumps(reference.to_dict())))
    np.testing.assert_array_equal(read.log_likelihood, reference.log_likelihood)
    test = DriftTest.against(reference, 9, np.array([0.5, 0.5]))
    assert test.log_ratios is not None
    np.testing.assert_allclose(test.log_ratios[:, 1], [1.0, 1.0, 1.0])
