"""Measures of predictions that were written down: trust at the images' own frequencies, folds that are calibrated."""

from dataclasses import astuple, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax

from bayescope.evaluation.result import Scored, measured
from report_data import evaluation

FOUND = evaluation(2, 24)


def scored(chosen: Any, prior: tuple[float, float] = (0.5, 0.5)) -> Scored:
    """The images at ``chosen``, predicted at ``prior``."""
    model: Any = SimpleNamespace(**vars(FOUND.model), decisions=None, decide=lambda predictions: None)
    n = len(FOUND.images)
    arrays = {key: v[chosen] for key, v in vars(FOUND.predictions).items() if isinstance(v, np.ndarray) and len(v) == n}
    log_posterior = log_softmax(FOUND.predictions.evidence[chosen] + np.log(prior), axis=1)
    predictions = replace(FOUND.predictions, **arrays | {"log_posterior": log_posterior, "class_prior": np.array(prior)})
    return Scored(model, FOUND.images.subset(chosen), predictions)


@pytest.mark.slow
def test_trust_is_asked_at_the_frequencies_of_the_images() -> None:
    chosen = np.r_[np.flatnonzero(FOUND.images.labels == 0), np.flatnonzero(FOUND.images.labels == 1)[:4]]
    even, rare = measured([scored(chosen)]), measured([scored(chosen, (0.99, 0.01))])
    for name, rows in even.trust.items():
        for what, one in rows.items():
            assert astuple(rare.trust[name][what].measured) == pytest.approx(astuple(one.measured), abs=1e-9)
    assert even.measures["log loss"].value < 0.5 * rare.measures["log loss"].value
    log_odds = np.diff(FOUND.predictions.evidence[chosen], axis=1)[:, 0] + np.log(1 / 3)
    expected = np.square(1 / (1 + np.exp(-log_odds)) - (FOUND.images.labels[chosen] == 1)).mean()
    assert even.trust["malignant"]["Brier score"].measured.value == pytest.approx(expected)


@pytest.mark.parametrize("calibrated", [(True, True), (True, False)])
def test_folds_are_calibrated_if_all_are(calibrated: tuple[bool, bool]) -> None:
    models = tuple(
        SimpleNamespace(
            **vars(FOUND.model) | {"calibration": SimpleNamespace(calibrated=c, images=(20 + i, 30), warning=f"w{i // 2}")}
        )
        for i, c in enumerate((*calibrated, True))
    )
    for model in models:
        model.by_class = lambda values: dict(zip(("a", "b"), values, strict=True))
    found = replace(FOUND, models=models)
    assert found.calibrated == all(calibrated)
    assert found.calibration_images == {"a": 20 + 21 + 22, "b": 90}
    assert found.calibration_warnings == ("w0", "w1")
