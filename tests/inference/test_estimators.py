"""Estimators of the evidence agree with the model's own answers, and take one from outside."""

import numpy as np
import pytest

from bayescope.config import Config
from bayescope.data.dataset import Dataset
from bayescope.fitting.fit import fit
from bayescope.inference.estimators import ESTIMATORS, EstimatedEvidence
from bayescope.inference.likelihood import exact_likelihood
from bayescope.inference.model import LikelihoodModel
from bayescope.types import Floats


@pytest.fixture(scope="module")
def model(tiny_data: Dataset, tiny_config: Config) -> LikelihoodModel:
    flow = tiny_config.flow.model_copy(update={"solver": "heun", "steps": 4, "probes": 1})
    return fit(tiny_data, tiny_config.model_copy(update={"flow": flow}))


def difference(values: Floats) -> Floats:
    return values[:, 1] - values[:, 0]


@pytest.mark.parametrize(("word", "rate"), [("sequential", None), ("full", 0.0)])
def test_denoising_evidence_is_that_of_the_posterior(
    model: LikelihoodModel, tiny_data: Dataset, word: str, rate: float | None
) -> None:
    pixels = tiny_data.test.pixels[:12]
    found, predictions = ESTIMATORS[word](model, pixels), model.classify(pixels, disagreement_rate=rate)
    np.testing.assert_allclose(difference(found.values), difference(predictions.log_posterior))
    np.testing.assert_array_equal(found.passes, predictions.passes)


def test_sequential_scoring_takes_fewer_passes(model: LikelihoodModel, tiny_data: Dataset) -> None:
    pixels = tiny_data.test.pixels
    assert ESTIMATORS["sequential"](model, pixels).passes.mean() < ESTIMATORS["full"](model, pixels).passes.mean()


def test_flow_is_the_exact_likelihood(model: LikelihoodModel, tiny_data: Dataset) -> None:
    pixels = tiny_data.test.pixels[:2]
    found, exact = ESTIMATORS["flow"](model, pixels), exact_likelihood(model, pixels)
    np.testing.assert_array_equal(found.values, exact.log_likelihood)
    np.testing.assert_array_equal(found.passes, exact.passes)


@pytest.mark.parametrize("word", ESTIMATORS)
def test_an_image_does_not_depend_on_those_with_it(model: LikelihoodModel, tiny_data: Dataset, word: str) -> None:
    pixels = tiny_data.test.pixels[:3]
    together, alone = (ESTIMATORS[word](model, some) for some in (pixels, pixels[:1]))
    np.testing.assert_allclose(difference(together.values)[:1], difference(alone.values), rtol=1e-3, atol=1e-3)


def test_the_benchmark_takes_an_estimator_from_outside(
    model: LikelihoodModel, tiny_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.evidence import packaged

    def brightness(model: LikelihoodModel, pixels: np.ndarray) -> EstimatedEvidence:
        upper, lower = pixels[:, :, :4].mean(axis=(1, 2, 3)), pixels[:, :, 4:].mean(axis=(1, 2, 3))
        return EstimatedEvidence(np.stack([upper, lower], axis=1), np.zeros(len(pixels), dtype=int))

    monkeypatch.setitem(ESTIMATORS, "brightness", brightness)
    scored = packaged("brightness", model, tiny_data.test)
    assert (scored.values.argmax(axis=1) == tiny_data.test.labels).mean() > 0.9
    assert scored.passes == 0
