"""Likelihood of a trained model: same settings, same probes for every class, bits per pixel, refusals."""

from dataclasses import replace

import numpy as np
import pytest

from bayescope.config import Config, FlowConfig, parse_config
from bayescope.data.dataset import Dataset
from bayescope.data.pixel_scale import PixelScale, as_stored
from bayescope.errors import ConfigError, DataError
from bayescope.evidence.flow import FlowLikelihood
from bayescope.fitting.fit import fit
from bayescope.inference.likelihood import blur_warning, exact_likelihood
from bayescope.inference.model import LikelihoodModel


@pytest.fixture(scope="module")
def model(tiny_data: Dataset, tiny_config: Config) -> LikelihoodModel:
    return fit(tiny_data, tiny_config)


@pytest.mark.slow
def test_probes_agree_with_the_exact_trace_and_steppers_with_each_other(model: LikelihoodModel, tiny_data: Dataset) -> None:
    pixels = tiny_data.test.pixels[:2]
    exact = exact_likelihood(model, pixels, FlowConfig(trace="exact", solver="heun", steps=4))
    probed = exact_likelihood(model, pixels, FlowConfig(probes=16, solver="heun", steps=4))
    assert (exact.standard_error == 0).all()
    difference = np.diff(probed.log_likelihood - exact.log_likelihood, axis=1)[:, 0]
    assert (np.abs(difference) < 4 * probed.standard_error.max(axis=1) + 0.05).all()
    adaptive = exact_likelihood(model, pixels, FlowConfig(probes=1))
    stepped = exact_likelihood(model, pixels, FlowConfig(probes=1, solver="rk4", steps=48))
    np.testing.assert_allclose(stepped.log_likelihood, adaptive.log_likelihood, atol=0.3)


def test_bits_per_pixel_are_those_of_eight_bit_images_and_none_of_floats(model: LikelihoodModel, tiny_data: Dataset) -> None:
    pixels = tiny_data.test.pixels[:2]
    settings = FlowConfig(solver="heun", steps=24, probes=1)
    bits = exact_likelihood(model, pixels, settings).bits_per_dim
    entropy_of_the_noise = np.log2(25 * np.sqrt(2 * np.pi * np.e))
    own = bits[np.arange(2), tiny_data.test.labels[:2]]
    assert (own > entropy_of_the_noise - 0.5).all()
    assert (own < entropy_of_the_noise + 1.5).all()
    assert np.isnan(exact_likelihood(model, pixels.astype(np.float32), settings).bits_per_dim).all()


def test_bits_of_deep_pixels_come_with_a_warning(model: LikelihoodModel) -> None:
    assert blur_warning(model, FlowConfig()) == ""
    deep = replace(model, scale=PixelScale(0.0, 4095.0), pixel_type="uint16")
    assert "blurred by 20 gray levels" in blur_warning(deep, FlowConfig())
    assert blur_warning(deep, FlowConfig(sigma_min=0.0005)) == ""


@pytest.mark.parametrize("high", [65535.0, 4095.0])
def test_a_stretched_image_has_the_bits_of_its_own_depth(model: LikelihoodModel, tiny_data: Dataset, high: float) -> None:
    """Beside one of the full depth, whose cells are narrower: by its step, which is each image's own."""
    pixels, settings = tiny_data.test.pixels[:2], FlowConfig(solver="heun", steps=12, probes=1)
    shallow = exact_likelihood(model, pixels, settings)
    scale = PixelScale(0.0, high)
    deep, stretched = replace(model, scale=scale, pixel_type="uint16"), as_stored(pixels, "uint16", scale, "a.png")
    steps = np.array([high / 255, 1.0])
    found = exact_likelihood(deep, stretched, settings, step=steps)
    np.testing.assert_allclose(found.bits_per_dim[0], shallow.bits_per_dim[0], atol=1e-5 if high == 65535 else 0.02)
    np.testing.assert_allclose(found.bits_per_dim[1], shallow.bits_per_dim[1] + np.log2(high / 255), atol=0.1)
    assert "blurred" in blur_warning(deep, settings)
    assert blur_warning(deep, settings, high / 255) == ""


def test_an_image_of_another_size_is_refused(model: LikelihoodModel, tiny_data: Dataset) -> None:
    with pytest.raises(DataError, match="the model expects"):
        exact_likelihood(model, tiny_data.test.pixels[:1, :, :-1])


@pytest.mark.parametrize("wrong", [{"tolerance": 0.0}, {"probes": 0}, {"steps": 0}, {"sigma_min": 90.0}])
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="flow"):
        parse_config({"flow": wrong})


def test_a_warning_of_blurred_bits_comes_with_the_likelihood(model: LikelihoodModel, tiny_data: Dataset) -> None:
    settings = FlowConfig(solver="heun", steps=1, probes=1)
    assert exact_likelihood(model, tiny_data.test.pixels[:1], settings).warning == ""
    scale = PixelScale(0.0, 4095.0)
    deep, pixels = replace(model, scale=scale, pixel_type="uint16"), tiny_data.test.pixels[:1].astype(np.uint16)
    found = exact_likelihood(deep, pixels, settings)
    assert found.warning == blur_warning(deep, settings) != ""
    assert exact_likelihood(deep, pixels, settings, step=4095 / 255).warning == ""


@pytest.mark.parametrize("wrong", [{"trace": "skilling"}, {"solver": "euler"}])
def test_solvers_and_traces_that_do_not_exist_are_refused(
    model: LikelihoodModel, tiny_data: Dataset, wrong: dict[str, str]
) -> None:
    with pytest.raises(ConfigError, match=r"flow\..*expected one of"):
        exact_likelihood(model, tiny_data.test.pixels[:1], FlowConfig(**wrong))


def test_the_standard_error_is_that_of_the_difference_from_the_best_class(
    model: LikelihoodModel, tiny_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: over probes the differences are 3, 5, 4 and 8, whose deviation is sqrt(14 / 3)."""
    estimates = np.array([[[10.0, 20.0, 30.0, 40.0], [7.0, 15.0, 26.0, 32.0]]])
    made_up = FlowLikelihood(estimates.mean(axis=2), np.full((1, 2), 99.0), estimates, np.array([4]))
    monkeypatch.setattr("bayescope.inference.likelihood.flow_log_likelihood", lambda *given: made_up)
    found = exact_likelihood(model, tiny_data.test.pixels[:1])
    np.testing.assert_allclose(found.standard_error, [[0, np.sqrt(14 / 3) / 2]])
