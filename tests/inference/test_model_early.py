"""Scoring that stops early uses biases and prevalence as the full evaluation does; prediction sets do not move with them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bayescope.calibration.base import no_error
from bayescope.data.dataset import Dataset
from bayescope.evidence.sequential import score_sequentially
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.predictions import Predictions, predict_from_evidence
from bayescope.runs.model_file import load_model
from bayescope.types import Floats

IN_FULL = 16


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> LikelihoodModel:
    return load_model(tiny_run)


def contrast(predictions: Predictions) -> Floats:
    return np.asarray(predictions.evidence[:, 1] - predictions.evidence[:, 0])


def test_a_bias_of_the_classes_is_in_the_evidence_however_scoring_ends(model: LikelihoodModel, tiny_data: Dataset) -> None:
    pixels = tiny_data.test.pixels[:6]
    level_weights = replace(model.level_weights, class_bias=np.array([0.0, 1.5]))
    biased = model.with_post_hoc(level_weights=level_weights)
    watched: list[Predictions] = []
    early = biased.classify(pixels, disagreement_rate=0.0, max_passes=IN_FULL, watch=watched.append)
    full, plain = biased.classify(pixels, disagreement_rate=0.0), model.classify(pixels, disagreement_rate=0.0)
    np.testing.assert_allclose(contrast(full), contrast(plain) + 1.5, rtol=1e-4)
    assert (early.passes == IN_FULL).all()
    np.testing.assert_allclose(contrast(early), contrast(full), rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(watched[-1].evidence, early.evidence)
    np.testing.assert_array_equal(watched[-1].log_posterior, early.log_posterior)


def test_scoring_stops_by_the_posterior_at_the_prevalence_asked_for(
    model: LikelihoodModel, tiny_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evidence with what is added to it before classes are compared is ahead where the posterior is."""
    added: list[Floats] = []

    def spy(*arguments: Any, **options: Any) -> Any:
        added.append(arguments[5])
        return score_sequentially(*arguments, **options)

    monkeypatch.setattr("bayescope.inference.model.score_sequentially", spy)
    bias, prior = np.array([0.0, 1.5]), np.array([0.02, 0.98])
    biased = model.with_post_hoc(level_weights=replace(model.level_weights, class_bias=bias))
    biased.classify(tiny_data.test.pixels[:2], prior, disagreement_rate=0.1)
    scored = np.stack([np.linspace(-400, 400, 801), np.zeros(801)], axis=1)
    found = predict_from_evidence(scored + bias, prior, no_error, np.ones(801, dtype=np.int64), model.calibration)
    assert 0 < found.posterior.argmax(axis=1).mean() < 1
    np.testing.assert_array_equal((scored + added[0]).argmax(axis=1), found.posterior.argmax(axis=1))
    assert ((scored + bias).argmax(axis=1) != found.posterior.argmax(axis=1)).any(), "the test would not notice"


def test_prediction_sets_do_not_move_with_the_prevalence(model: LikelihoodModel, tiny_data: Dataset) -> None:
    pixels = tiny_data.test.pixels
    plain = model.classify(pixels, disagreement_rate=0.0)
    rare = model.classify(pixels, [0.999, 0.001], disagreement_rate=0.0)
    decided, elsewhere = model.decide(plain), model.decide(rare)
    assert model.decisions is not None
    assert decided is not None
    assert elsewhere is not None
    np.testing.assert_array_equal(elsewhere.sets, decided.sets)
    np.testing.assert_allclose(elsewhere.posterior, decided.posterior)
    assert (model.decisions(rare.posterior).sets != decided.sets).any(), "the test would not notice"


def test_the_budget_and_the_rate_are_those_of_the_configuration(model: LikelihoodModel, tiny_data: Dataset) -> None:
    pixels = tiny_data.test.pixels[:6]

    def configured(**settings: float) -> LikelihoodModel:
        evidence = model.config.evidence.model_copy(update=settings)
        return replace(model, config=model.config.model_copy(update={"evidence": evidence}))

    assert (configured(max_passes=4, disagreement_rate=1e-9).classify(pixels).passes == 4).all()
    assert (configured(disagreement_rate=0.0).classify(pixels).passes == IN_FULL).all()
    assert (configured(max_passes=4, disagreement_rate=0.0).classify(pixels, max_passes=8).passes == 8).all()
    assert configured(disagreement_rate=0.3).classify(pixels, disagreement_rate=0.0).mean_passes == IN_FULL
