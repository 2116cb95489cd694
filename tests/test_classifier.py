"""The scikit-learn estimator."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from bayescope import ScoreClassifier
from bayescope.errors import ConfigError, DataError, RunError
from conftest import stripes

SMALL = {"steps": 24, "batch_size": 8, "widths": (8, 8), "levels": 4, "noises": 2}

CANNOT_APPLY = {
    "check_methods_subset_invariance": "convolutions of other batch sizes sum in another order: equal to 1e-4, not to 1e-7",
}


@parametrize_with_checks(
    [ScoreClassifier(**(SMALL | {"steps": 60, "learning_rate": 3e-3, "batch_size": 32}))],
    expected_failed_checks=lambda estimator: CANNOT_APPLY,
)
@pytest.mark.slow
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def fitted() -> ScoreClassifier:
    train = stripes(80, 1)
    return ScoreClassifier(**SMALL).fit(train.pixels[:, 0], np.array(["no", "yes"])[train.labels])


def test_predicts_names_and_probabilities(fitted: ScoreClassifier) -> None:
    test = stripes(40, 2)
    x = test.pixels[:, 0]
    assert fitted.classes_.tolist() == ["no", "yes"]
    assert (fitted.predict(x) == np.array(["no", "yes"])[test.labels]).mean() > 0.9
    np.testing.assert_allclose(fitted.predict_proba(x).sum(axis=1), 1)
    np.testing.assert_allclose(np.exp(fitted.predict_log_proba(x)), fitted.predict_proba(x))


def test_posterior_is_bayes_and_prevalence_moves_without_training(fitted: ScoreClassifier) -> None:
    x = stripes(10, 3).pixels[:, 0]
    evidence = fitted.class_evidence(x)
    moved = clone(fitted)
    moved.__dict__ |= {key: value for key, value in fitted.__dict__.items() if key.endswith("_")}
    moved.class_prior_ = np.array([0.99, 0.01])
    joint = np.exp(evidence - evidence.max(axis=1, keepdims=True)) * moved.class_prior_
    np.testing.assert_allclose(moved.predict_proba(x), joint / joint.sum(axis=1, keepdims=True), rtol=1e-6)
    np.testing.assert_array_equal(moved.class_evidence(x), evidence)


def test_an_image_does_not_depend_on_its_batch(fitted: ScoreClassifier) -> None:
    x = stripes(9, 4).pixels[:, 0]
    np.testing.assert_allclose(fitted.class_evidence(x)[:1], fitted.class_evidence(x[:1]), rtol=1e-4, atol=1e-3)


def test_save_and_load_give_the_same_answers(fitted: ScoreClassifier, tmp_path: Path) -> None:
    x = stripes(5, 5).pixels[:, 0]
    fitted.save(tmp_path / "run")
    loaded = ScoreClassifier.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.predict_proba(x), fitted.predict_proba(x))
    assert loaded.predict(x).tolist() == fitted.predict(x).tolist()
    with pytest.raises(RunError, match="holds no model"):
        ScoreClassifier.load(tmp_path / "nowhere")


def test_samples_are_in_the_units_of_the_input(fitted: ScoreClassifier) -> None:
    samples = fitted.sample(3, steps=6)
    assert samples.shape == (2, 3, 1, 8, 12)
    assert 60 < samples.mean() < 220


def test_parameters_clone_and_cross_validation() -> None:
    classifier = ScoreClassifier(**SMALL)
    assert clone(classifier).get_params() == classifier.get_params()
    assert classifier.set_params(levels=3).levels == 3
    data = stripes(60, 6)
    assert cross_val_score(classifier, data.pixels[:, 0], data.labels, cv=2).mean() > 0.8


def test_bad_parameters_and_images_are_refused(fitted: ScoreClassifier) -> None:
    data = stripes(20, 7)
    x = data.pixels[:, 0]
    with pytest.raises(ConfigError, match="learning_rate"):
        ScoreClassifier(learning_rate=-1).fit(x, data.labels)
    with pytest.raises(ConfigError, match="sum to"):
        ScoreClassifier(class_prior=[0.5, 0.6]).fit(x, data.labels)
    with pytest.raises(ValueError, match=r"NaN"):
        ScoreClassifier().fit(np.full((20, 4, 4), np.nan), data.labels)
    with pytest.raises((DataError, ValueError), match=r"features|shape"):
        fitted.predict(np.zeros((2, 9, 9), np.uint8))
