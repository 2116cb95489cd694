"""Early stopping on real images: a classifier trained for seconds, asked for disagreement rates, held to them."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from bayescope.config import parse_config
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.data.load import load_dataset
from bayescope.errors import ConfigError
from bayescope.fitting.fit import fit
from bayescope.fitting.post_hoc import calibrated
from bayescope.inference.model import LikelihoodModel

pytestmark = pytest.mark.slow  # a model is trained for them


def halved(data: Dataset) -> Dataset:
    def half(part: ImageSet) -> ImageSet:
        n, channels, height, width = part.pixels.shape
        blocks = part.pixels.reshape(n, channels, height // 2, 2, width // 2, 2)
        return replace(part, pixels=blocks.mean(axis=(3, 5)).round().astype(np.uint8))

    return replace(data, train=half(data.train), val=half(data.val), test=half(data.test))


@cache
def trained_on(source: Path, seed: int) -> tuple[LikelihoodModel, Dataset]:
    """On images halved to 14 px."""
    data = halved(load_dataset(source))
    config = parse_config(
        {
            "seed": seed,
            "net": {"widths": [8, 16]},
            "training": {"steps": 10, "batch_size": 32, "augmentation": "none", "warmup_steps": 5},
            "evidence": {"levels": 8, "noises": 4, "level_weights": "bound"},
        }
    )
    return fit(data, config), data


@pytest.fixture
def trained(shared_data: Path) -> tuple[LikelihoodModel, Dataset]:
    return trained_on(shared_data / "medmnist" / "breastmnist.npz", 0)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_each_smaller_rate_costs_more_passes_and_is_kept(shared_data: Path, seed: int) -> None:
    """Six passes, three of each class, are the fewest; sixty-four are all there are.

    A rate is learned from 78 validation images, on which the rule was fitted too.  One that is fewer than two of them is
    exceeded: over ten seeds, 0.005 gave 16 of 1560 images and 0.02 gave 44, while 0.05 gave 49.  So small rates are only held
    to three times what was asked for.
    """
    model, data = trained_on(shared_data / "medmnist" / "breastmnist.npz", seed)
    full = model.classify(data.test.pixels, disagreement_rate=0.0)
    assert (full.passes == 64).all()
    spent, differ = [], []
    for rate, times in ((0.2, 1), (0.05, 1), (0.005, 3), (0.0005, 3)):
        early = model.classify(data.test.pixels, disagreement_rate=rate)
        spent.append(early.passes.sum())
        differ.append((early.posterior.argmax(axis=1) != full.posterior.argmax(axis=1)).mean())
        assert differ[-1] * len(data.test) <= binom(len(data.test), times * rate).ppf(0.975)
        assert early.passes.min() == 6
    assert 6 * len(data.test) <= spent[0] <= spent[1] < spent[2] < spent[3] < 24 * len(data.test)
    assert differ == sorted(differ, reverse=True)


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
