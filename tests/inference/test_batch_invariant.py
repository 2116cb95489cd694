"""Predictions are the same to the last bit in every batch."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from bayescope.data.dataset import Dataset
from bayescope.diffusion.denoiser import LevelDenoiser
from bayescope.diffusion.wrapped import WrappedDenoiser
from bayescope.inference.batch_invariant import BatchInvariantDenoiser, batch_invariant
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.predictions import Predictions
from bayescope.runs.model_file import load_model

FIELDS = ("evidence", "log_posterior", "log_likelihood_ratio", "standard_error", "posterior_error", "passes")
PIXELS_TRIED = 12


@pytest.fixture(autouse=True, scope="module")
def two_threads() -> Iterator[None]:
    """With one, batches of more than seven images round otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> LikelihoodModel:
    return batch_invariant(load_model(tiny_run))


@pytest.fixture(scope="module")
def alone(model: LikelihoodModel, tiny_data: Dataset) -> dict[float, list[Predictions]]:
    """Predictions of single images by disagreement rate."""
    pixels = tiny_data.test.pixels[:PIXELS_TRIED]
    return {
        rate: [model.classify(pixels[i : i + 1], disagreement_rate=rate, trust_tests=True) for i in range(PIXELS_TRIED)]
        for rate in (0.0, 0.2)
    }


@settings(max_examples=12, deadline=None)
@given(chosen=st.lists(st.integers(0, PIXELS_TRIED - 1), min_size=1, max_size=14), rate=st.sampled_from([0.0, 0.2]))
@example(chosen=[0] * 7, rate=0.2)
@example(chosen=[0] * 9, rate=0.2)
@example(chosen=[0] * 11, rate=0.2)
def test_an_image_is_predicted_the_same_in_every_batch(
    model: LikelihoodModel, tiny_data: Dataset, alone: dict[float, list[Predictions]], chosen: list[int], rate: float
) -> None:
    found = model.classify(tiny_data.test.pixels[chosen], disagreement_rate=rate, trust_tests=True)
    for row, i in enumerate(chosen):
        single = alone[rate][i]
        for name in FIELDS:
            assert np.array_equal(getattr(found, name)[row], getattr(single, name)[0], equal_nan=True), name
        assert found.novelty is not None
        assert single.novelty is not None
        assert found.novelty.score[row] == single.novelty.score[0]


def test_predictions_are_those_of_the_model(model: LikelihoodModel, tiny_run: Path, tiny_data: Dataset) -> None:
    pixels = tiny_data.test.pixels[:6]
    found, expected = model.classify(pixels), load_model(tiny_run).classify(pixels)
    assert np.array_equal(found.passes, expected.passes)
    np.testing.assert_allclose(found.log_likelihood_ratio, expected.log_likelihood_ratio, rtol=1e-3, atol=1e-4)


class Fickle(BatchInvariantDenoiser):
    """Answers otherwise in batches of more than ``steady`` rows, as networks do in the last bits."""

    def __init__(self, inner: torch.nn.Module, steady: int) -> None:
        super().__init__(inner, {1: (1,), 2: (1,)})  # type: ignore[arg-type]
        self.steady = steady

    def at_level(self, sigma: float):  # type: ignore[no-untyped-def]
        level = self.inner.at_level(sigma)

        def denoise(z: Tensor, image: Tensor, label: Tensor) -> Tensor:
            return level(z, image, label) + (1e-7 if len(image) > self.steady else 0.0)

        return denoise


class Choosy(WrappedDenoiser):
    """Gives an image the same in calls of two and of four rows only, and takes several levels one by one."""

    def at_level(self, sigma: float | Tensor) -> LevelDenoiser:
        level = self.inner.at_level(sigma)
        return lambda z, image, label: level(z, image, label) + (0.0 if len(image) in (2, 4) else 1e-3)


@pytest.mark.slow
def test_images_of_several_levels_are_given_in_shapes_that_were_tried(tiny_run: Path) -> None:
    model = load_model(tiny_run)
    denoiser = batch_invariant(replace(model, denoiser=Choosy(model.denoiser))).denoiser
    assert isinstance(denoiser, BatchInvariantDenoiser)
    assert denoiser.sizes[1] == (4, 2, 1)
    generator, (level, label) = torch.Generator().manual_seed(0), torch.tensor([[0, 1, 1, 2, 1, 3, 1, 0], [0, 1] * 4])
    z, first = torch.randn((8, *denoiser.image_shape), generator=generator), torch.zeros(1, dtype=torch.long)
    with torch.inference_mode():
        several = denoiser.at_levels(model.sigmas.tolist())
        together = several(z, level, torch.arange(8), label)
        alone = torch.cat([several(z[[i]], level[[i]], first, label[[i]]) for i in range(8)])
    assert torch.equal(together, alone)


@pytest.mark.slow
@pytest.mark.parametrize(("steady", "largest"), [(2, 1), (8, 4), (1000, 32)])
def test_shapes_that_change_an_answer_are_not_used(tiny_run: Path, steady: int, largest: int) -> None:
    model = load_model(tiny_run)
    changed = batch_invariant(model.__class__(**(vars(model) | {"denoiser": Fickle(model.denoiser, steady)})))
    assert isinstance(changed.denoiser, BatchInvariantDenoiser)
    assert changed.denoiser.sizes[2][0] == largest


def test_a_level_is_prepared_once(model: LikelihoodModel) -> None:
    assert model.denoiser.at_level(0.5) is model.denoiser.at_level(0.5)
