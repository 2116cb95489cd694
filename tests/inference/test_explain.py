"""Evidence maps on the Gaussian oracle add up to the reported ratio; counterfactuals against the flow in closed form."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bayescope.data.dataset import Dataset
from bayescope.diffusion.gaussian import Component, GaussianMixtureDenoiser
from bayescope.diffusion.sampling import flow
from bayescope.diffusion.schedules import log_spaced
from bayescope.errors import ConfigError, DataError
from bayescope.evidence.denoising import level_evidence
from bayescope.evidence.level_weights import LevelWeights, level_spacing
from bayescope.evidence.noise import draw_noise
from bayescope.inference.evidence_maps import class_maps
from bayescope.inference.explain import counterfactual, explain
from bayescope.runs.model_file import load_model

SHAPE = (2, 5, 7)
SIGMAS = log_spaced(0.05, 5.0, 6).double().numpy()
NOISE = draw_noise(6, 3, SHAPE, seed=0)
LEVEL_WEIGHTS = LevelWeights(level_spacing(SIGMAS) * SIGMAS**0.3, np.array([0.4, -1.1, 0.2]))
PRIOR = np.array([0.5, 0.2, 0.3])


def images(n: int, seed: int = 1) -> torch.Tensor:
    return 0.5 * torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def oracle() -> GaussianMixtureDenoiser:
    """Three classes, each of two Gaussians."""
    means = 0.5 * torch.randn(3, 2, *SHAPE, generator=torch.Generator().manual_seed(0))
    variance = torch.rand(3, 2, *SHAPE, generator=torch.Generator().manual_seed(1)) + 0.1
    return GaussianMixtureDenoiser(
        [[Component(m, v) for m, v in zip(*row, strict=True)] for row in zip(means, variance, strict=True)]
    )


def test_maps_add_up_to_the_reported_ratio_of_every_pair(oracle: GaussianMixtureDenoiser) -> None:
    x = images(9)
    reported = LEVEL_WEIGHTS.evidence(level_evidence(oracle, x, SIGMAS, NOISE))
    maps = class_maps(oracle.under_every_class, x, SIGMAS, NOISE, LEVEL_WEIGHTS, batch_size=4)
    np.testing.assert_allclose(maps.evidence, reported, rtol=1e-6)
    for a, b in ((0, 1), (2, 0)):
        found = maps.between(a, b)
        assert found.total.shape == (9, 5, 7)
        assert found.levels.shape == (9, 6, 5, 7)
        np.testing.assert_allclose(found.total.sum(axis=(1, 2)), reported[:, a] - reported[:, b], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found.log_ratio, found.total.sum(axis=(1, 2)), rtol=1e-9)


def test_maps_add_up_level_by_level(oracle: GaussianMixtureDenoiser) -> None:
    x = images(4)
    levels = level_evidence(oracle, x, SIGMAS, NOISE).mean
    found = class_maps(oracle.under_every_class, x, SIGMAS, NOISE, LEVEL_WEIGHTS).between(1, 2)
    expected = (levels[:, 1] - levels[:, 2]) * LEVEL_WEIGHTS.weights
    np.testing.assert_allclose(found.levels.sum(axis=(2, 3)), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.constant, -1.3)


def test_maps_against_the_rest_add_up_to_the_reported_ratio(oracle: GaussianMixtureDenoiser) -> None:
    x = images(8)
    reported, _ = LEVEL_WEIGHTS.log_likelihood_ratio(level_evidence(oracle, x, SIGMAS, NOISE), PRIOR)
    maps = class_maps(oracle.under_every_class, x, SIGMAS, NOISE, LEVEL_WEIGHTS)
    for k in range(3):
        np.testing.assert_allclose(maps.against_rest(k, PRIOR).total.sum(axis=(1, 2)), reported[:, k], rtol=1e-4, atol=1e-4)


def test_maps_are_antisymmetric_and_scale_with_the_calibration(oracle: GaussianMixtureDenoiser) -> None:
    maps = class_maps(oracle.under_every_class, images(3), SIGMAS, NOISE, LEVEL_WEIGHTS)
    forth, back = maps.between(0, 1), maps.between(1, 0)
    np.testing.assert_allclose(forth.total, -back.total, atol=1e-12)
    calibrated = forth.scaled(0.2, -0.5)
    np.testing.assert_allclose(calibrated.total.sum(axis=(1, 2)), 0.2 * forth.log_ratio - 0.5, rtol=1e-9)


def test_a_map_does_not_depend_on_the_batch(oracle: GaussianMixtureDenoiser) -> None:
    x = images(5)
    whole = class_maps(oracle.under_every_class, x, SIGMAS, NOISE, LEVEL_WEIGHTS).levels
    alone = class_maps(oracle.under_every_class, x[:1], SIGMAS, NOISE, LEVEL_WEIGHTS, batch_size=1).levels
    np.testing.assert_allclose(alone, whole[:1], rtol=1e-4, atol=1e-6)


def test_evidence_lies_where_the_classes_differ() -> None:
    """Independent pixels: all evidence must lie in the one corner whose mean differs, and have the sign of the class."""
    healthy, ill = torch.zeros(SHAPE), torch.zeros(SHAPE)
    ill[:, :2, :2] = 1.0
    oracle = GaussianMixtureDenoiser([[Component(mean, torch.full(SHAPE, 0.1))] for mean in (healthy, ill)])
    level_weights = LevelWeights(level_spacing(SIGMAS), np.zeros(2))
    total = class_maps(oracle.under_every_class, ill[None], SIGMAS, NOISE, level_weights).between(1, 0).total[0]
    assert total[:2, :2].sum() == pytest.approx(total.sum(), rel=1e-4)
    assert (total[:2, :2] > 0).all()


MEANS, VARIANCE = (-0.4, 0.7), (0.2, 0.05)


@pytest.fixture(scope="module")
def two() -> GaussianMixtureDenoiser:
    """Two classes of independent pixels, whose flow is known: z - mean shrinks as the root of variance + σ²."""
    return GaussianMixtureDenoiser(
        [[Component(torch.full(SHAPE, mean), torch.full(SHAPE, v))] for mean, v in zip(MEANS, VARIANCE, strict=True)]
    )


def carried(z: torch.Tensor, k: int, start: float, end: float) -> torch.Tensor:
    return MEANS[k] + (z - MEANS[k]) * ((VARIANCE[k] + end**2) / (VARIANCE[k] + start**2)) ** 0.5


def test_flow_is_the_closed_form(two: GaussianMixtureDenoiser) -> None:
    z, label = images(3), torch.tensor([0, 1, 0])
    found = flow(two, z, label, log_spaced(2.0, 0.01, 200).double())
    expected = torch.stack([carried(z[i], int(label[i]), 2.0, 0.01) for i in range(3)])
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)
    assert found.dtype == z.dtype


@pytest.mark.parametrize("invert", [False, True])
def test_counterfactual_is_the_closed_form(two: GaussianMixtureDenoiser, invert: bool) -> None:
    x, zero, one, sigma = images(2), torch.tensor([0, 0]), torch.tensor([1, 1]), 1.5
    found = counterfactual(two, x, zero, one, sigma, steps=200, seed=4, invert=invert)
    noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(4))
    seen = carried(x, 0, 0.01, sigma) if invert else x + sigma * noise
    torch.testing.assert_close(found.image, carried(seen, 1, sigma, 0.01), atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(found.reconstruction, carried(seen, 0, sigma, 0.01), atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(found.change, found.image - found.reconstruction)


def test_inverting_and_returning_to_the_same_class_changes_nothing(two: GaussianMixtureDenoiser) -> None:
    x, zero = images(2), torch.tensor([0, 0])
    found = counterfactual(two, x, zero, zero, 3.0, steps=100, invert=True)
    torch.testing.assert_close(found.image, x, atol=2e-3, rtol=2e-3)
    assert found.change.abs().max() == 0


def test_counterfactuals_flip_the_class(two: GaussianMixtureDenoiser) -> None:
    """Images truly of their class; at a high σ nearly all of them go over."""
    label = torch.arange(20) % 2
    spread = torch.tensor(VARIANCE).sqrt()[label][:, None, None, None]
    x = torch.tensor(MEANS)[label][:, None, None, None] + 2 * spread * images(20, seed=3)
    found = counterfactual(two, x, label, 1 - label, 3.0, invert=True)
    assert (two.log_likelihood(found.image).argmax(dim=1) == 1 - label).all()
    assert (two.log_likelihood(found.reconstruction).argmax(dim=1) == label).all()


def test_an_image_does_not_depend_on_its_batch_mates_nor_on_chance(two: GaussianMixtureDenoiser) -> None:
    x, label = images(3), torch.tensor([0, 1, 0])
    whole = counterfactual(two, x, label, 1 - label, 1.0, seed=1)
    alone = counterfactual(two, x[:1], label[:1], 1 - label[:1], 1.0, seed=1)
    torch.testing.assert_close(alone.image, whole.image[:1])
    assert not torch.allclose(counterfactual(two, x, label, 1 - label, 1.0, seed=2).image, whole.image)


@pytest.mark.parametrize(("sigma", "steps"), [(0.01, 4), (-1.0, 4), (float("nan"), 4), (1.0, 0)])
def test_impossible_settings_are_refused(two: GaussianMixtureDenoiser, sigma: float, steps: int) -> None:
    with pytest.raises(ConfigError, match="expected sigma above"):
        counterfactual(two, images(1), torch.tensor([0]), torch.tensor([1]), sigma, steps)


@pytest.mark.parametrize("against", [None, "upper", 0])
def test_the_map_of_an_explanation_adds_up_to_the_ratio(tiny_run: Path, tiny_data: Dataset, against: str | int | None) -> None:
    model, pixels = load_model(tiny_run), tiny_data.test.pixels[1:2]
    found = explain(model, pixels, [0.3, 0.7], against)
    ratio = model.classify(pixels, [0.3, 0.7], disagreement_rate=0.0).log_likelihood_ratio[0, 1]
    assert (found.winner, found.other, found.is_raw, found.counterfactual) == (1, 0, False, None)
    assert found.evidence_map.total.shape == (1, 8, 12)
    assert found.evidence_map.total.sum() == pytest.approx(ratio, rel=1e-4)
    rival = "the rest" if against is None else "upper"
    assert found.title() == f"lower against {rival}: log-likelihood ratio {found.evidence_map.total.sum():+.4f} nats"
    assert found.title("bans").endswith(f"{found.evidence_map.total.sum() / np.log(10):+.4f} bans")


def test_a_counterfactual_of_an_explanation_is_of_the_other_class(tiny_run: Path, tiny_data: Dataset) -> None:
    model, pixels = load_model(tiny_run), tiny_data.test.pixels[1:2]
    found = explain(model, pixels, counterfactual_sigma=0.5).counterfactual
    expected = counterfactual(model.denoiser, model.checked(pixels), torch.tensor([1]), torch.tensor([0]), 0.5)
    assert found is not None
    torch.testing.assert_close(found.image, expected.image)
    assert found.sigma == 0.5


@pytest.mark.parametrize("against", ["left", "lower", 1, 2, -1])
def test_impossible_rivals_are_refused(tiny_run: Path, tiny_data: Dataset, against: str | int) -> None:
    with pytest.raises(ConfigError, match="expected one of: upper"):
        explain(load_model(tiny_run), tiny_data.test.pixels[1:2], against=against)


def test_several_images_are_not_explained_at_once(tiny_run: Path, tiny_data: Dataset) -> None:
    with pytest.raises(DataError, match="2 images to explain"):
        explain(load_model(tiny_run), tiny_data.test.pixels[:2])
