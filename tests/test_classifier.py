"""The scikit-learn estimator."""

import shutil
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from bayescope import ScoreClassifier
from bayescope.checkpoint import CONFIG, MANIFEST, MODEL
from bayescope.data.images import Dataset
from bayescope.errors import ConfigError, DataError, RunError, UncalibratedWarning
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


def test_class_evidence_is_calibrated_as_the_posterior_is() -> None:
    train, x = stripes(80, 1), stripes(10, 3).pixels[:, 0]
    classifier = ScoreClassifier(**SMALL, validation_fraction=0.3, error_rate=0.0).fit(train.pixels[:, 0], train.labels)
    assert classifier.model_.calibration.calibrated
    assert classifier.answer(x).calibrated
    np.testing.assert_allclose(softmax(classifier.class_evidence(x), axis=1), classifier.predict_proba(x), rtol=1e-5)


def test_too_few_images_to_calibrate_on_are_warned_of() -> None:
    train = stripes(20, 1)
    with pytest.warns(UncalibratedWarning, match="expects at least"):
        classifier = ScoreClassifier(**SMALL).fit(train.pixels[:, 0], train.labels)
    assert not classifier.answer(train.pixels[:2, 0]).calibrated


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
    with pytest.raises(ConfigError, match="device 'abacus'"):
        ScoreClassifier.load(tmp_path / "run", device="abacus")


@pytest.mark.parametrize("names", [[0, 1], [3, 7], [False, True], [1.0, 2.0], ["no", "yes"], np.array(["a", "b"], object)])
def test_labels_and_features_survive_the_disk(fitted: ScoreClassifier, tmp_path: Path, names: Any) -> None:
    data = stripes(12, 5)
    labelled = copy(fitted)
    labelled.classes_ = np.array(names)
    labelled.save(tmp_path / "run")
    loaded = ScoreClassifier.load(tmp_path / "run", device="cpu")
    assert loaded.classes_.dtype == np.array(names).dtype
    assert loaded.n_features_in_ == fitted.n_features_in_
    assert loaded.device == "cpu"
    x, y = data.pixels[:, 0], np.array(names)[data.labels]
    assert loaded.predict(x).tolist() == labelled.predict(x).tolist()
    assert loaded.score(x, y) == labelled.score(x, y) > 0.8
    loaded.save(tmp_path / "again")
    assert ScoreClassifier.load(tmp_path / "again").predict(x).tolist() == loaded.predict(x).tolist()


def test_a_run_of_the_command_line_is_labelled_by_class_names(tiny_run: Path, tiny_data: Dataset) -> None:
    loaded = ScoreClassifier.load(tiny_run)
    assert loaded.classes_.tolist() == ["upper", "lower"]
    assert not hasattr(loaded, "n_features_in_")
    assert loaded.predict(tiny_data.test.pixels).tolist() == loaded.predict(tiny_data.test.pixels[:, 0]).tolist()


def test_saving_replaces_only_runs_and_only_when_asked(
    fitted: ScoreClassifier, tiny_run: Path, tiny_npz: Path, cli: Any, tmp_path: Path
) -> None:
    run, x = Path(shutil.copytree(tiny_run, tmp_path / "run")), stripes(6, 5).pixels[:, 0]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(RunError, match="exists already"):
        fitted.save(run)
    np.testing.assert_array_equal(ScoreClassifier.load(run).classes_, ["upper", "lower"])
    for force in (False, True):
        with pytest.raises(RunError, match="exists"):
            fitted.save(tmp_path / "mine", force=force)
    fitted.save(run, force=True)
    assert {path.name for path in run.iterdir()} == {CONFIG, MANIFEST, MODEL}
    np.testing.assert_array_equal(ScoreClassifier.load(run).predict(x), fitted.predict(x))
    assert "give --data" in cli("report", run).err.lower()
    assert cli("report", run, "--data", tiny_npz).code == 0
    assert "Trained on array, SHA-256 " in (run / "report.html").read_text()


def test_nothing_is_learned_of_stopping_from_the_training_images() -> None:
    data = stripes(40, 8)
    classifier = ScoreClassifier(**SMALL, validation_fraction=0.0).fit(data.pixels[:, 0], data.labels)
    assert classifier.model_.statistics is None
    assert classifier.model_.novelty is None
    assert (classifier.answer(data.pixels[:3, 0]).passes == 16).all()


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


def test_images_labelled_minus_one_teach_what_images_look_like_and_are_no_class() -> None:
    train = stripes(60, 1)
    y = np.where(np.arange(60) % 3 == 0, -1, train.labels + 5)
    some = y >= 0
    settings = SMALL | {"generative_steps": 8, "optimizer": "muon"}
    classifier = ScoreClassifier(**settings).fit(train.pixels, y)
    assert classifier.classes_.tolist() == [5, 6]
    assert "unlabelled" in classifier.manifest_
    without = ScoreClassifier(**settings).fit(train.pixels[some], y[some])
    assert "unlabelled" not in without.manifest_
    assert classifier.manifest_["fingerprint"] == without.manifest_["fingerprint"]
    test = stripes(20, 2).pixels
    assert not np.allclose(classifier.predict_log_proba(test), without.predict_log_proba(test))


def test_minus_one_is_a_class_where_only_one_other_is_or_where_told_so() -> None:
    train = stripes(40, 1)
    assert ScoreClassifier(**SMALL).fit(train.pixels, train.labels * 2 - 1).classes_.tolist() == [-1, 1]
    three = np.where(np.arange(40) < 8, -1, train.labels)
    assert ScoreClassifier(**SMALL, unlabelled=None).fit(train.pixels, three).classes_.tolist() == [-1, 0, 1]
    assert ScoreClassifier(**SMALL, unlabelled=1).fit(train.pixels, np.where(three < 0, 2, three)).classes_.tolist() == [0, 2]
