"""The model's answers: calibrated, the same however soon scoring stops, kept on disk, and plain where nothing was learned."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, logit

from bayescope.calibration import calibration_from_dict, cross_fit
from bayescope.calibration.affine import BiasCorrectedTemperatureScaling, identity_calibration
from bayescope.calibration.base import no_error
from bayescope.calibration.cross_fit import cross_fitted_calibration, level_weights_of_copies, out_of_fold_evidence
from bayescope.calibration.isotonic import IsotonicCalibration
from bayescope.config import Config, EvidenceConfig
from bayescope.data.dataset import Dataset
from bayescope.errors import ConfigError, RunError
from bayescope.evidence.denoising import LevelEvidence
from bayescope.evidence.level_weights import LevelWeights, level_spacing
from bayescope.fitting.post_hoc import calibrated
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.predictions import Predictions, predict_from_evidence
from bayescope.metrics.calibration import cllr
from bayescope.runs.model_file import load_model, save_model

SIGMAS = np.exp(np.linspace(-2, 1, 4))


def overconfident(n: int, n_classes: int, seed: int, factor: float = 4.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Exact evidence of unit Gaussians around the corners, the same ``factor`` times too large and shifted, and labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    centres = 1.5 * np.eye(n_classes)
    x = centres[labels] + rng.normal(size=(n, n_classes))
    exact = x @ centres.T - 0.5 * (centres**2).sum(axis=1)
    return exact, factor * exact + np.linspace(0, 3, n_classes) + rng.normal(size=(n, 1)), labels


def level_evidence_of(evidence: np.ndarray, seed: int = 0) -> LevelEvidence:
    noise = np.random.default_rng(seed).normal(0, 0.1, (*evidence.shape, len(SIGMAS), 2))
    return LevelEvidence(evidence[:, :, None, None] / 3 + noise, SIGMAS)


def least_cllr(ratio: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Slope and offset of least Cllr, one part in n + 2 of every image counting for the other side."""
    doubt = 1 / (len(ratio) + 2)

    def cost(theta: np.ndarray) -> float:
        found = theta[0] * ratio + theta[1]
        return (1 - doubt) * cllr(found, positive) + doubt * swapped(found, positive)

    def swapped(found: np.ndarray, positive: np.ndarray) -> float:
        surprise = np.logaddexp(0, np.where(positive, found, -found)) / np.log(2)
        return float((surprise[positive].mean() + surprise[~positive].mean()) / 2)

    return np.asarray(minimize(cost, np.array([0.1, 0.0]), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12}).x)


def contrasts(evidence: np.ndarray) -> np.ndarray:
    return evidence - evidence.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_affine_calibration_recovers_exact_evidence(n_classes: int) -> None:
    exact, raw, labels = overconfident(12_000, n_classes, 0)
    found = BiasCorrectedTemperatureScaling.fit(raw, labels, np.full(n_classes, 1 / n_classes))
    assert found.slope == pytest.approx(0.25, rel=0.06)
    assert np.abs(contrasts(found(raw)) - contrasts(exact)).mean() < 0.1
    assert found.calibrated
    assert not found.warning


def test_of_two_classes_it_is_the_map_of_least_cllr() -> None:
    _, raw, labels = overconfident(90, 2, 1)
    labels[:40] = 0
    found = BiasCorrectedTemperatureScaling.fit(raw, labels, np.full(2, 0.5))
    slope, offset = least_cllr(raw[:, 1] - raw[:, 0], labels == 1)
    assert found.slope == pytest.approx(slope, rel=1e-3)
    assert found.offset[1] - found.offset[0] == pytest.approx(offset, abs=1e-3)


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 5), st.integers(0, 10_000), st.floats(0.01, 3))
def test_stopping_refers_to_the_reported_posterior_and_maps_to_the_reported_evidence(
    n_classes: int, seed: int, slope: float
) -> None:
    rng = np.random.default_rng(seed)
    calibration = BiasCorrectedTemperatureScaling(slope, tuple(rng.normal(size=n_classes)), (9,) * n_classes, True)
    prior, levels = rng.dirichlet(np.ones(n_classes) * 3), level_evidence_of(rng.normal(0, 9, (6, n_classes)), seed)
    level_weights = LevelWeights(rng.uniform(0.1, 1, len(SIGMAS)), rng.normal(size=n_classes))
    raw = level_weights.evidence(levels)
    predictions = predict_from_evidence(raw, prior, lambda g: np.full(len(g), 0.5), np.ones(6, dtype=np.int64), calibration)
    offset = calibration.stopping_offset(prior)
    assert offset is not None
    np.testing.assert_allclose(log_softmax(slope * (raw + offset), axis=1), predictions.log_posterior, atol=1e-8)
    np.testing.assert_allclose(calibration.calibrated_weights(level_weights).evidence(levels), calibration(raw))
    np.testing.assert_allclose(predictions.posterior, expit(predictions.log_likelihood_ratio + logit(prior)), atol=1e-9)
    np.testing.assert_allclose(predictions.standard_error, slope * 0.5)
    step = 1e-5 * predictions.standard_error
    moved = [expit(predictions.log_likelihood_ratio + sign * step + logit(prior)) for sign in (1, -1)]
    np.testing.assert_allclose(predictions.posterior_error, (moved[0] - moved[1]) / 2e-5, rtol=1e-3, atol=1e-9)
    other = rng.dirichlet(np.ones(n_classes) * 3)
    again = predict_from_evidence(raw, other, lambda g: np.full(len(g), 0.5), predictions.passes, calibration)
    np.testing.assert_allclose(predictions.posterior_at(other), again.posterior, atol=1e-9)


@pytest.mark.parametrize("kind", ["affine", "isotonic"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_cross_fitted_calibration_mends_overconfidence(kind: str, n_classes: int) -> None:
    _, raw, labels = overconfident(900, n_classes, 2)
    _, new, truth = overconfident(3000, n_classes, 3)
    prior = np.full(n_classes, 1 / n_classes)
    config = EvidenceConfig(level_weights="bound", calibration=kind)
    found = cross_fitted_calibration(config, [level_evidence_of(raw)], labels, prior)
    assert found.calibrated
    assert isinstance(found, IsotonicCalibration) == (kind == "isotonic")
    predictions = predict_from_evidence(new, prior, lambda g: np.full(len(g), 0.1), np.ones(3000, dtype=np.int64), found)
    costs = [
        cllr(ratio[:, 1], truth == 1) for ratio in (predictions.raw_log_likelihood_ratio, predictions.log_likelihood_ratio)
    ]
    assert costs[1] < costs[0] - 0.05
    assert (predictions.standard_error >= 0).all()
    assert np.isnan(predictions.posterior_error).all() == (kind == "isotonic" and n_classes > 2)
    np.testing.assert_allclose(predictions.posterior.sum(axis=1), 1)
    assert (found.stopping_offset(prior) is None) == (kind == "isotonic")
    again = calibration_from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False)))
    assert again == found


@pytest.mark.parametrize("kind", ["affine", "isotonic"])
def test_a_calibration_on_two_copies_serves_both_and_counts_images(kind: str) -> None:
    """The second copy favours class 1 by 4 nats: maps fitted on the first alone mislead there, those of both less so."""
    _, raw, labels = overconfident(400, 2, 5, factor=2.0)
    copies = [level_evidence_of(raw + np.array([0.0, shift])) for shift in (0.0, 4.0)]
    config, prior = EvidenceConfig(level_weights="bound", calibration=kind), np.full(2, 0.5)
    costs = []
    for fitted_on in (copies[:1], copies):
        found = cross_fitted_calibration(config, fitted_on, labels, prior)
        assert found.images == (200, 200)
        told = [
            predict_from_evidence(
                LevelWeights(level_spacing(SIGMAS), np.zeros(2)).evidence(copy), prior, no_error, np.ones(400), found
            )
            for copy in copies
        ]
        costs.append([cllr(predictions.log_likelihood_ratio[:, 1], labels == 1) for predictions in told])
    (own, other), (own_of_both, other_of_both) = costs
    assert own < own_of_both < other
    assert other_of_both < other - 0.05


@pytest.mark.parametrize("kind", ["affine", "isotonic"])
def test_the_same_view_twice_tells_no_more_than_once(kind: str) -> None:
    _, raw, labels = overconfident(120, 2, 7)
    config, copy, prior = EvidenceConfig(level_weights="bound", calibration=kind), level_evidence_of(raw), np.full(2, 0.5)
    once, twice = (cross_fitted_calibration(config, copies, labels, prior).to_dict() for copies in ([copy], [copy, copy]))
    np.testing.assert_allclose(_numbers(once), _numbers(twice), rtol=1e-4, atol=1e-5)


def _numbers(found: object) -> list[float]:
    """All numbers in nested dictionaries and lists, in order."""
    if isinstance(found, int | float):
        return [found]
    values = found.values() if isinstance(found, dict) else found if isinstance(found, list | tuple) else ()
    return [number for value in values for number in _numbers(value)]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_views_keep_patients_whole_whatever_the_classes(n_classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    _, raw, labels = overconfident(90, n_classes, 6)
    patients = [i // 3 for i in range(90)]
    copies = [level_evidence_of(raw), level_evidence_of(raw + 1, seed=1)]
    config, fitted_on = EvidenceConfig(level_weights="fitted"), []

    def spy(settings: EvidenceConfig, known: list[LevelEvidence], truth: np.ndarray) -> LevelWeights:
        fitted_on.append(
            [
                [int(np.flatnonzero((copy.values == row).all(axis=(1, 2, 3)))[0]) for row in part.values]
                for copy, part in zip(copies, known, strict=True)
            ]
        )
        return level_weights_of_copies(settings, known, truth)

    monkeypatch.setattr(cross_fit, "level_weights_of_copies", spy)
    evidence = out_of_fold_evidence(config, copies, labels, patients)
    assert evidence.shape == (2, 90, n_classes)
    for first, second in fitted_on:
        assert first == second
        left_out = set(range(90)) - set(first)
        assert {i // 3 for i in left_out}.isdisjoint(i // 3 for i in first)
    found = cross_fitted_calibration(config, copies, labels, np.full(n_classes, 1 / n_classes), patients)
    assert found.images == (90 // n_classes,) * n_classes


def test_views_of_an_image_are_in_the_same_fold() -> None:
    """Two equal copies of evidence of nothing: apart, one would tell the label of the other."""
    rng = np.random.default_rng(4)
    levels = LevelEvidence(rng.normal(0, 20, (40, 2, 4, 1)), SIGMAS)
    labels, once = np.arange(40) % 2, []
    for seed in range(8):
        shuffled = np.random.default_rng(seed).permutation(labels)
        both = out_of_fold_evidence(EvidenceConfig(), [levels, levels], shuffled)
        np.testing.assert_array_equal(both[0], both[1])
        found = cross_fitted_calibration(EvidenceConfig(), [levels, levels], shuffled, np.full(2, 0.5))
        once.append(found.slope if isinstance(found, BiasCorrectedTemperatureScaling) else np.nan)
    assert np.median(once) < 0.3


def test_fitted_weights_are_cross_fitted() -> None:
    """Evidence of nothing: weights fitted on an image's own label would find something, and a slope above zero boast of it."""
    rng = np.random.default_rng(4)
    levels, labels = LevelEvidence(rng.normal(0, 20, (40, 2, 4, 1)), SIGMAS), np.arange(40) % 2
    ratios = []
    for seed in range(8):
        shuffled = np.random.default_rng(seed).permutation(labels)
        found = cross_fitted_calibration(EvidenceConfig(), [levels], shuffled, np.full(2, 0.5))
        ratios.append(found.slope if isinstance(found, BiasCorrectedTemperatureScaling) else np.nan)
    assert np.median(ratios) < 0.3


@pytest.mark.parametrize("labels", [[0] * 20, [0] * 20 + [1], [0] * 30 + [1] * 4])
def test_too_few_images_leave_evidence_as_it_is_and_say_so(labels: list[int]) -> None:
    levels = level_evidence_of(np.random.default_rng(0).normal(size=(len(labels), 2)))
    config = EvidenceConfig(level_weights="bound")
    found = cross_fitted_calibration(config, [levels], np.array(labels), np.full(2, 0.5))
    assert not found.calibrated
    assert found.warning.startswith("uncalibrated")
    np.testing.assert_array_equal(found(levels.mean[:, :, 0]), levels.mean[:, :, 0])


def test_broken_calibration_on_disk() -> None:
    for broken in ({}, {"kind": "affine", "slope": "steep"}, {"kind": "affine", "slope": 1.0, "offset": 3}):
        with pytest.raises(RunError, match="Train the model again"):
            calibration_from_dict(broken)


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> LikelihoodModel:
    return load_model(tiny_run)


def test_a_trained_model_is_calibrated_and_tests_novelty(model: LikelihoodModel, tiny_data: Dataset) -> None:
    assert model.calibration.calibrated
    assert "few validation images: [15, 15]" in model.calibration.warning
    predictions = model.classify(tiny_data.test.pixels, disagreement_rate=0.0)
    assert predictions.novelty is not None
    ratios = predictions.log_likelihood_ratio[:, 1], predictions.raw_log_likelihood_ratio[:, 1]
    assert np.corrcoef(*ratios)[0, 1] == pytest.approx(1)
    odd = np.full_like(tiny_data.test.pixels[:3], 255)
    odd[:, :, ::2] = 0
    novelty_result = model.classify(odd, disagreement_rate=0.0).novelty
    assert novelty_result is not None
    assert novelty_result.p_value.max() <= 2 / 31
    assert np.median(predictions.novelty.p_value) > 0.2


def test_novelty_does_not_depend_on_stopping_and_its_passes_are_counted(model: LikelihoodModel, tiny_data: Dataset) -> None:
    pixels = tiny_data.test.pixels
    full = model.classify(pixels, disagreement_rate=0.0)
    plain = model.classify(pixels, disagreement_rate=0.3)
    tested = model.classify(pixels, disagreement_rate=0.3, trust_tests=True)
    assert plain.novelty is None
    assert full.novelty is not None
    assert tested.novelty is not None
    same = full.evidence.argmax(axis=1) == tested.evidence.argmax(axis=1)
    assert same.mean() > 0.7
    np.testing.assert_allclose(tested.novelty.score[same], full.novelty.score[same], rtol=1e-3)
    np.testing.assert_array_equal(tested.log_posterior, plain.log_posterior)
    extra = tested.passes - plain.passes
    assert (extra >= 0).all()
    assert (plain.passes / 2 + extra >= model.config.evidence.levels).all()
    assert extra.max() < model.config.evidence.levels
    assert plain.mean_passes < full.mean_passes


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 1e6), (1e-4, 2.0), (0.0, 0.1)])
def test_scoring_stops_once_the_calibrated_posterior_is_settled(
    model: LikelihoodModel, tiny_data: Dataset, slope: float, offset: float
) -> None:
    """Raw evidence speaks for either class; what is reported is settled by offset or prevalence, at the fewest draws."""
    pixels = tiny_data.test.pixels
    biased = model.with_post_hoc(calibration=BiasCorrectedTemperatureScaling(slope, (0.0, offset), (15, 15), True))
    predictions = biased.classify(pixels, disagreement_rate=0.01)
    assert (predictions.posterior.argmax(axis=1) == 1).all()
    assert (predictions.passes == 6).all()
    assert (model.classify(pixels, disagreement_rate=0.01).posterior.argmax(axis=1) == 1).mean() < 0.7
    calibrated = slope * predictions.evidence + np.array([0.0, offset])
    np.testing.assert_allclose(predictions.log_posterior, log_softmax(calibrated, axis=1), atol=1e-6)


def test_maps_add_up_to_the_calibrated_ratio(model: LikelihoodModel, tiny_data: Dataset) -> None:
    pixels = tiny_data.test.pixels[:5]
    predictions = model.classify(pixels, [0.3, 0.7], disagreement_rate=0.0)
    found = model.evidence_maps(pixels).against_rest(1, predictions.class_prior)
    np.testing.assert_allclose(found.total.sum(axis=(1, 2)), predictions.log_likelihood_ratio[:, 1], rtol=1e-4, atol=1e-4)


def test_disk_keeps_calibration_and_novelty_and_that_there_is_none(
    model: LikelihoodModel, tiny_data: Dataset, tmp_path: Path
) -> None:
    pixels = tiny_data.test.pixels[:4]
    save_model(tmp_path / "again", model)
    here, there = (
        model.classify(pixels, disagreement_rate=0.0),
        load_model(tmp_path / "again").classify(pixels, disagreement_rate=0.0),
    )
    np.testing.assert_array_equal(here.log_posterior, there.log_posterior)
    assert here.novelty is not None
    assert there.novelty is not None
    np.testing.assert_array_equal(here.novelty.p_value, there.novelty.p_value)
    save_model(tmp_path / "bare", model.with_post_hoc(calibration=identity_calibration((0, 0), "uncalibrated"), tests={}))
    bare = load_model(tmp_path / "bare")
    assert not bare.calibration.calibrated
    assert "uncalibrated" in bare.calibration.warning
    predictions = bare.classify(pixels, disagreement_rate=0.0)
    np.testing.assert_array_equal(predictions.log_likelihood_ratio, predictions.raw_log_likelihood_ratio)
    assert predictions.novelty is None


def test_isotonic_calibration_scores_in_full(model: LikelihoodModel, tiny_data: Dataset, tiny_config: Config) -> None:
    evidence = tiny_config.evidence.model_copy(update={"calibration": "isotonic"})
    settings = tiny_config.model_copy(update={"evidence": evidence})
    held_out = tiny_data.train
    isotonic = calibrated(replace(model, config=settings), held_out, None)
    assert isinstance(isotonic.calibration, IsotonicCalibration)
    assert isotonic.calibration.calibrated
    predictions = isotonic.classify(tiny_data.test.pixels[:4], disagreement_rate=0.3)
    assert (predictions.passes == 16).all()
    with pytest.raises(ConfigError, match="isotonic"):
        isotonic.classify(tiny_data.test.pixels[:4], max_passes=4)


@pytest.mark.parametrize("rate", [0.0, 0.2])
def test_what_is_known_of_images_is_told_while_they_are_scored(
    tiny_run: Path, tiny_data: Dataset, monkeypatch: pytest.MonkeyPatch, rate: float
) -> None:
    """Under the images' own indices, though they are scored three at a time; in the end it is the answer."""
    monkeypatch.setattr("bayescope.inference.model_units._NUMBERS_AT_ONCE", 3 * tiny_data.test.pixels[0].size)
    model, told = load_model(tiny_run), dict[int, np.ndarray]()

    def watch(found: Predictions, first: int) -> None:
        told.update({first + i: ratio for i, ratio in enumerate(found.log_likelihood_ratio)})

    answer = model.classify(tiny_data.test.pixels[:8], disagreement_rate=rate, watch=watch)
    assert sorted(told) == list(range(8))
    np.testing.assert_allclose(np.stack([told[i] for i in range(8)]), answer.log_likelihood_ratio)
