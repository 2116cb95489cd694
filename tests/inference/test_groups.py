"""One ratio for a patient, breast or study: the images' shares add up to it, and one image keeps its own."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import log_softmax

from bayescope.calibration.affine import BiasCorrectedTemperatureScaling
from bayescope.calibration.pooling import GroupPooling
from bayescope.errors import ConfigError, DataError
from bayescope.inference.combine import combine
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.post_hoc import PostHoc
from bayescope.inference.predictions import Predictions, predict_from_evidence
from bayescope.types import Floats

NAMES = ("benign", "malignant", "normal")
POOLING = GroupPooling("breast", None, 0.4, (0.2, -0.3, 0.1), (30, 30, 30), True)
EVIDENCE = arrays(float, st.tuples(st.integers(1, 6), st.just(3)), elements=st.floats(-15, 15))
PRIOR = np.array([0.2, 0.1, 0.7])


def predictions(evidence: Floats, prior: Floats = PRIOR, error: float = 0.3) -> Predictions:
    calibration = BiasCorrectedTemperatureScaling(0.7, (0.1,) * evidence.shape[1], (30,) * evidence.shape[1], True)

    def of_contrast(gradient: Floats) -> Floats:
        return np.full(len(gradient), error / 0.7)

    return predict_from_evidence(evidence, prior, of_contrast, np.full(len(evidence), 8), calibration)


def model(*poolings: GroupPooling, names: tuple[str, ...] = NAMES, is_additive: bool = True) -> LikelihoodModel:
    post_hoc = PostHoc(cast(Any, None), cast(Any, None), poolings=poolings)
    calibration = SimpleNamespace(is_additive=is_additive, kind="isotonic")
    return cast(LikelihoodModel, SimpleNamespace(class_names=names, post_hoc=post_hoc, calibration=calibration))


@given(EVIDENCE)
def test_shares_add_up(evidence: Floats) -> None:
    found = combine(model(POOLING), predictions(evidence), ["1 L"] * len(evidence), "breast")
    np.testing.assert_allclose(found.shares[0].sum(axis=0), found.log_likelihood_ratio[0], atol=1e-9)
    assert found.posterior.sum() == pytest.approx(1)


@given(EVIDENCE)
def test_one_image_keeps_its_answer(evidence: Floats) -> None:
    of_images = predictions(evidence)
    found = combine(model(POOLING), of_images, [f"{i} L" for i in range(len(evidence))], "breast")
    np.testing.assert_allclose(found.log_posterior, of_images.log_posterior, atol=1e-9)
    np.testing.assert_allclose(found.log_likelihood_ratio, of_images.log_likelihood_ratio, atol=1e-9)
    np.testing.assert_allclose(found.standard_error, of_images.standard_error)


@given(EVIDENCE, st.randoms(use_true_random=False))
def test_the_order_of_images_does_not_matter(evidence: Floats, random: Any) -> None:
    order = list(range(len(evidence)))
    random.shuffle(order)
    keys = ["1 L", "1 R"] * 3
    straight = combine(model(POOLING), predictions(evidence), keys[: len(order)], "breast")
    shuffled = combine(model(POOLING), predictions(evidence[order]), [keys[i] for i in order], "breast")
    by_name = dict(zip(shuffled.names, shuffled.log_likelihood_ratio, strict=True))
    for name, ratio in zip(straight.names, straight.log_likelihood_ratio, strict=True):
        np.testing.assert_allclose(by_name[name], ratio, atol=1e-9)


def test_other_groups_and_missing_images_do_not_matter() -> None:
    """A patient has the same answer whoever is asked beside; an image that names none stands alone."""
    evidence = np.random.default_rng(0).normal(0, 3, (5, 3))
    keys = ["a", "b", "a", "", ""]
    found = combine(model(POOLING), predictions(evidence), keys, "breast")
    alone = combine(model(POOLING), predictions(evidence[[0, 2]]), ["a", "a"], "breast")
    assert found.names == ("a", "b", "", "")
    assert [positions.tolist() for positions in found.members] == [[0, 2], [1], [3], [4]]
    np.testing.assert_allclose(found.log_likelihood_ratio[0], alone.log_likelihood_ratio[0])


def test_the_prior_is_that_of_a_group() -> None:
    """At another prevalence only the posterior and the mixture of the other classes change, by Bayes' rule."""
    evidence, even = np.random.default_rng(1).normal(0, 2, (2, 3)), np.full(3, 1 / 3)
    rare, common = (combine(model(POOLING), predictions(evidence, prior), ["a", "a"], "breast") for prior in (PRIOR, even))
    np.testing.assert_allclose(log_softmax(common.log_posterior + np.log(PRIOR), axis=1), rare.log_posterior, atol=1e-9)


def test_errors_of_images_are_propagated() -> None:
    found = combine(model(POOLING), predictions(np.zeros((2, 3)), error=0.3), ["a", "a"], "breast")
    np.testing.assert_allclose(found.standard_error, 0.3 * np.sqrt(2) / 1.4)
    p = found.posterior
    np.testing.assert_allclose(found.posterior_error, p * (1 - p) * found.standard_error)


def test_one_image_is_enough_for_a_class() -> None:
    any_malignant = GroupPooling("patient", "malignant", 0.5, (-0.2, 0.6), (30, 30), True)
    of_images = predictions(np.random.default_rng(2).normal(0, 2, (3, 3)))
    found = combine(model(POOLING, any_malignant), of_images, ["a", "a", "b"], "patient", "malignant")
    ratio = of_images.log_likelihood_ratio[:, 1]
    assert found.class_names == ("no malignant", "malignant")
    assert found.log_likelihood_ratio[0, 1] == pytest.approx((ratio[0] + ratio[1] + 0.8) / 1.5)
    assert found.log_likelihood_ratio[1, 1] == pytest.approx(ratio[2])
    np.testing.assert_allclose(found.class_prior, [0.9, 0.1])
    assert found.labels(np.array([0, 1, 2]), NAMES).tolist() == [1, 0]
    assert found.rule == "a patient is malignant if any image is"


def test_groups_of_differing_classes_are_refused() -> None:
    found = combine(model(POOLING), predictions(np.zeros((3, 3))), ["a", "a", "b"], "breast")
    assert found.labels(np.array([2, 2, 0]), NAMES).tolist() == [2, 0]
    with pytest.raises(DataError, match="1 of 2 groups by breast have images of different classes"):
        found.labels(np.array([2, 1, 0]), NAMES)


def test_without_a_fit_it_is_the_mean_with_a_warning() -> None:
    of_images = predictions(np.array([[1.0, 0, 0], [3.0, 0, 0]]))
    found = combine(model(), of_images, ["a", "a"], "study")
    (record,) = found.records(["a.png", "b.png"])
    assert "is the mean of the images'" in record["warnings"][0]
    assert (record["effective_images"], record["calibrated"], record["study"]) == (1.0, False, "a")
    mean = combine(model(), predictions(np.array([[2.0, 0, 0]])), ["a"], "study")
    np.testing.assert_allclose(found.log_likelihood_ratio, mean.log_likelihood_ratio)


def test_a_record_names_images_and_classes() -> None:
    found = combine(model(POOLING), predictions(np.eye(3)[:2] * 4), ["1 L", "1 L"], "breast")
    (record,) = found.records(["cc.png", "mlo.png"], ["of the model"])
    assert record["images"] == ["cc.png", "mlo.png"] == list(record["shares"])
    assert sum(share["benign"] for share in record["shares"].values()) == pytest.approx(
        record["log_likelihood_ratio"]["benign"]
    )
    assert record["warnings"] == ["of the model"]
    assert record["effective_images"] == pytest.approx(2 / 1.4)


def test_what_cannot_be_added_up_is_refused() -> None:
    with pytest.raises(ConfigError, match="--any cyst; expected one of the classes"):
        combine(model(POOLING), predictions(np.zeros((1, 3))), ["a"], "breast", "cyst")
    apart = model(replace(POOLING, positive="malignant", offset=(0.0, 0.0)), is_additive=False)
    with pytest.raises(ConfigError, match="isotonic calibration of 3 classes"):
        combine(apart, predictions(np.zeros((1, 3))), ["a"], "breast")
    assert len(combine(apart, predictions(np.zeros((1, 3))), ["a"], "breast", "malignant")) == 1
