"""Whether probabilities mean what they say is asked at the images' own class frequencies, whatever prior was given."""

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest

from bayescope.data.dataset import Dataset
from bayescope.evaluation.evaluate import evaluate
from bayescope.runs.model_file import load_model


@pytest.mark.slow
def test_trust_does_not_move_with_the_prior(tiny_data: Dataset, tiny_run: Path) -> None:
    """Two thirds of the images are of the first class, which no prior here says."""
    labels = tiny_data.test.labels
    model, images = (
        load_model(tiny_run),
        tiny_data.test.subset(np.r_[np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:10]]),
    )
    even, rare = (evaluate(model, images, prior, disagreement_rate=0.0) for prior in ([0.5, 0.5], [0.99, 0.01]))
    for name, rows in even.trust.items():
        for what, one in rows.items():
            assert astuple(rare.trust[name][what].measured) == pytest.approx(astuple(one.measured), abs=1e-9)
    assert even.measures["log loss"] != rare.measures["log loss"]
    posterior = even.predictions.posterior_at(np.array([2 / 3, 1 / 3]))
    expected = np.square(posterior[:, 1] - (images.labels == 1)).mean()
    np.testing.assert_allclose(even.trust["lower"]["Brier score"].measured.value, expected)
