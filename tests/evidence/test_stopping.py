"""Early stopping on real images: a classifier trained for seconds, asked for disagreement rates, held to them."""

from pathlib import Path

import numpy as np
import pytest

from bayescope.config import parse_config
from bayescope.data.dataset import Dataset
from bayescope.data.load import load_dataset
from bayescope.errors import ConfigError
from bayescope.fitting.fit import fit
from bayescope.fitting.post_hoc import calibrated
from bayescope.inference.model import LikelihoodModel

pytestmark = pytest.mark.slow  # a model is trained for them


@pytest.fixture(scope="module")
def trained(shared_data: Path) -> tuple[LikelihoodModel, Dataset]:
    data = load_dataset(shared_data / "medmnist" / "breastmnist.npz")
    config = parse_config(
        {
            "net": {"widths": [8, 16]},
            "training": {"steps": 60, "batch_size": 32, "augmentation": "none", "warmup_steps": 5},
            "evidence": {"levels": 8, "noises": 4},
        }
    )
    return fit(data, config), data


@pytest.mark.parametrize("disagreement_rate", [0.2, 0.05])
def test_the_error_rate_asked_for_is_kept_on_real_images(
    trained: tuple[LikelihoodModel, Dataset], disagreement_rate: float
) -> None:
    model, data = trained
    full = model.classify(data.test.pixels, disagreement_rate=0.0)
    early = model.classify(data.test.pixels, disagreement_rate=disagreement_rate)
    differs = (early.log_posterior.argmax(axis=1) != full.log_posterior.argmax(axis=1)).mean()
    assert (full.passes == 64).all()
    assert differs <= disagreement_rate + 2 * np.sqrt(disagreement_rate / len(data.test))
    assert early.mean_passes < 24


def test_a_smaller_rate_costs_more_passes_and_agrees_no_less(trained: tuple[LikelihoodModel, Dataset]) -> None:
    """Six passes are the fewest here, so that rates of 0.02 and more cost the same."""
    model, data = trained
    full, *early = (model.classify(data.test.pixels, disagreement_rate=rate) for rate in (0.0, 0.2, 0.005, 0.0005))
    passes = [found.mean_passes for found in (*early, full)]
    differ = [(found.posterior.argmax(axis=1) != full.posterior.argmax(axis=1)).sum() for found in early]
    assert (np.diff(passes) >= 0).all()
    assert passes[0] < passes[2] < passes[3]
    assert (np.diff(differ) <= 0).all()


def test_another_prior_moves_the_threshold_and_not_the_evidence(trained: tuple[LikelihoodModel, Dataset]) -> None:
    model, data = trained
    pixels = data.test.pixels[:20]
    rare = model.classify(pixels, [0.01, 0.99], disagreement_rate=0.0)
    even = model.classify(pixels, [0.5, 0.5], disagreement_rate=0.0)
    shift = np.diff(rare.log_posterior - even.log_posterior, axis=1)
    np.testing.assert_allclose(shift, np.log(99), rtol=1e-6)


def test_a_budget_is_kept(trained: tuple[LikelihoodModel, Dataset]) -> None:
    model, data = trained
    assert model.classify(data.test.pixels, max_passes=6).passes.max() <= 6
    with pytest.raises(ConfigError, match="max_passes 1; expected at least 2"):
        model.classify(data.test.pixels, max_passes=1)


def test_without_validation_images_to_learn_from_a_budget_is_refused(trained: tuple[LikelihoodModel, Dataset]) -> None:
    model, data = trained
    few = calibrated(model, data.val.subset(np.arange(10)), None)
    assert (few.classify(data.test.pixels[:2]).passes == 64).all()
    with pytest.raises(ConfigError, match="at least 16 validation images"):
        few.classify(data.test.pixels[:2], max_passes=6)
