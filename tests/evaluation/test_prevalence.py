"""Class frequencies by maximum likelihood: against a general optimiser, known mixtures, and the coverage of intervals."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from bayescope.data.dataset import Dataset
from bayescope.errors import DataError
from bayescope.evaluation.prevalence import class_frequencies, estimate_prevalence
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.novelty import NoveltyResult
from bayescope.inference.predictions import Predictions
from bayescope.runs.model_file import load_model
from conftest import Call, stripes


def mixture(n: int, share: float, rng: np.random.Generator, separation: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Log-likelihoods ``(n, 2)`` of normal values with unit variance, mean 0 or ``separation``, and the labels."""
    labels = (rng.random(n) < share).astype(int)
    x = rng.normal(separation * labels)
    return -0.5 * (x[:, None] - np.array([0.0, separation])) ** 2 + rng.normal(size=(n, 1)), labels


def predictions(log_likelihood: np.ndarray, novelty: NoveltyResult | None = None) -> Predictions:
    """Calibrated predictions at a prior that is not equal."""
    n_classes = log_likelihood.shape[1]
    prior = np.arange(1, n_classes + 1) / np.arange(1, n_classes + 1).sum()
    posterior = log_likelihood + np.log(prior)
    posterior -= logsumexp(posterior, axis=1, keepdims=True)
    nothing = np.zeros_like(posterior)
    tests = {} if novelty is None else {"novelty": novelty}
    ones = np.ones(len(posterior), np.int64)
    return Predictions(log_likelihood, posterior, nothing, nothing, nothing, nothing, prior, ones, True, tests)


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> LikelihoodModel:
    return load_model(tiny_run)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 4))
def test_as_a_general_optimiser_finds_it(seed: int, n_classes: int) -> None:
    rng = np.random.default_rng(seed)
    log_likelihood = rng.normal(scale=1.5, size=(60, n_classes))
    weights = rng.integers(0, 3, size=(2, 60))

    def loss(logits: np.ndarray, row: np.ndarray) -> float:
        return -float(row @ logsumexp(log_likelihood + np.log(softmax(logits) + 1e-300), axis=1))

    for found, row in zip(class_frequencies(log_likelihood, weights), weights, strict=True):
        best = minimize(loss, np.zeros(n_classes), args=(row,), method="BFGS")
        assert loss(np.log(found + 1e-300), row) <= best.fun + 1e-4
        assert found.sum() == pytest.approx(1)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_a_known_share_is_found_whatever_the_prior_of_the_predictions(model: LikelihoodModel, share: float) -> None:
    rng = np.random.default_rng(0)
    log_likelihood, labels = mixture(20_000, share, rng)
    found = class_frequencies(log_likelihood)[0, 1]
    assert found == pytest.approx(labels.mean(), abs=0.01)
    few = estimate_prevalence(model, predictions(log_likelihood[:1000]))
    assert few.frequencies["lower"].value == pytest.approx(class_frequencies(log_likelihood[:1000])[0, 1], abs=1e-6)
    assert few.frequencies["upper"].value + few.frequencies["lower"].value == pytest.approx(1)


@pytest.mark.slow
def test_intervals_have_their_coverage_and_keep_patients_whole(model: LikelihoodModel) -> None:
    """Three images of each patient, of one class: intervals by image would be too narrow by half."""
    share, covered, narrow, draws = 0.3, 0, 0, 60
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        labels = np.repeat(rng.random(80) < share, 3).astype(int)
        x = np.repeat(rng.normal(size=80), 3) + 3 * labels
        log_likelihood = -0.5 * (x[:, None] - np.array([0.0, 3.0])) ** 2
        given_ = predictions(log_likelihood)
        by_patient = estimate_prevalence(model, given_, np.repeat(np.arange(80), 3).tolist()).frequencies["lower"]
        by_image = estimate_prevalence(model, given_).frequencies["lower"]
        covered += by_patient.low <= share <= by_patient.high
        narrow += by_image.low <= share <= by_image.high
    assert 0.87 * draws <= covered
    assert narrow < covered
    assert narrow <= 0.85 * draws


def novelty(p_value: np.ndarray, images: int) -> NoveltyResult:
    return NoveltyResult(p_value, -np.log(p_value), np.zeros((len(p_value), 1)), images)


def test_images_like_the_held_out_ones_are_seldom_called_implausible(model: LikelihoodModel) -> None:
    """p-values are ranks among a held-out set that is itself a sample, smaller than the images tested."""
    doubtful = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        held_out, scores = np.sort(rng.normal(size=60)), rng.normal(size=200)
        p = (1 + len(held_out) - np.searchsorted(held_out, scores)) / (len(held_out) + 1)
        found = estimate_prevalence(model, predictions(rng.normal(size=(200, 2))), None) if seed == 0 else None
        assert found is None or found.plausibility is None
        tested = replace_trust(rng, p)
        doubtful += estimate_prevalence(model, tested).plausibility.is_doubtful
    assert doubtful <= 9


def replace_trust(rng: np.random.Generator, p: np.ndarray) -> Predictions:
    return replace(predictions(rng.normal(size=(len(p), 2))), trust={"novelty": novelty(p, 60)})


def test_images_of_another_kind_are_called_implausible(model: LikelihoodModel) -> None:
    rng = np.random.default_rng(0)
    found = estimate_prevalence(model, replace_trust(rng, rng.random(100) ** 3))
    assert found.plausibility.is_doubtful
    assert found.plausibility.share_novel == pytest.approx(0.05 ** (1 / 3), abs=0.1)
    assert any("unlike those the model was validated on" in text for text in found.warnings)
    few = estimate_prevalence(model, replace_trust(rng, rng.random(100) ** 3), [f"p{i % 4}" for i in range(100)])
    assert few.plausibility.images == 4


def test_few_images_are_refused(model: LikelihoodModel) -> None:
    with pytest.raises(DataError, match="9 images; expected at least 10"):
        estimate_prevalence(model, predictions(np.zeros((9, 2))))


def test_the_command(tiny_run: Path, tiny_data: Dataset, tmp_path: Path, cli: Call) -> None:
    images = stripes(60, 77)
    chosen = [*np.flatnonzero(images.labels == 0)[:24], *np.flatnonzero(images.labels == 1)[:6]]
    for i in chosen:
        Image.fromarray(images.pixels[i, 0]).save(tmp_path / f"{i}.png")
    Image.fromarray(tiny_data.train.pixels[0, 0]).save(tmp_path / "seen.png")
    told = cli("prevalence", tiny_run, tmp_path, "--json", "--out", tmp_path / "out.jsonl")
    assert told.code == 0, told.err
    found = json.loads(told.out)
    assert found["images"] == 30
    assert found["frequencies"]["lower"]["low"] <= 0.2 <= found["frequencies"]["lower"]["high"]
    assert any("1 images left out that the model was fitted on" in text for text in found["warnings"])
    assert json.loads((tmp_path / "out.jsonl").read_text()) == found
    printed = cli("prevalence", tiny_run, tmp_path).out
    assert '--prevalence "upper=' in " ".join(printed.split())
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    told = cli("prevalence", tiny_run, tmp_path)
    assert told.code == 1
    assert "not read" in told.err
