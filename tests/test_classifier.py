"""The scikit-learn estimator."""

import shutil
import warnings
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from bayescope import ScoreClassifier
from bayescope.data.dataset import Dataset
from bayescope.errors import ConfigError, DataError, RunError, UncalibratedWarning, UnitsWarning
from bayescope.runs.files import CONFIG, MANIFEST, MODEL, RECORD
from conftest import stripes

SMALL = {"steps": 24, "batch_size": 8, "widths": (8, 8), "levels": 4, "noises": 2}

CANNOT_APPLY = {
    "check_methods_subset_invariance": "convolutions of other batch sizes sum in another order: equal to 1e-4, not to 1e-7",
}


@parametrize_with_checks(
    [ScoreClassifier(**(SMALL | {"steps": 10, "learning_rate": 3e-3, "batch_size": 32}))],
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


@pytest.mark.slow
def test_class_evidence_is_calibrated_as_the_posterior_is() -> None:
    train, x = stripes(80, 1), stripes(10, 3).pixels[:, 0]
    classifier = ScoreClassifier(**SMALL, validation_fraction=0.3, disagreement_rate=0.0).fit(train.pixels[:, 0], train.labels)
    assert classifier.model_.calibration.calibrated
    assert classifier.classify(x).calibrated
    np.testing.assert_allclose(softmax(classifier.class_evidence(x), axis=1), classifier.predict_proba(x), rtol=1e-5)


def test_too_few_images_to_calibrate_on_are_warned_of() -> None:
    train = stripes(20, 1)
    with pytest.warns(UncalibratedWarning, match="expects at least"):
        classifier = ScoreClassifier(**SMALL).fit(train.pixels[:, 0], train.labels)
    assert not classifier.classify(train.pixels[:2, 0]).calibrated


def test_an_image_does_not_depend_on_its_batch(fitted: ScoreClassifier) -> None:
    x = stripes(9, 4).pixels[:, 0]
    np.testing.assert_allclose(fitted.class_evidence(x)[:1], fitted.class_evidence(x[:1]), rtol=1e-4, atol=1e-3)


def test_save_and_load_give_the_same_answers(fitted: ScoreClassifier, tmp_path: Path) -> None:
    x = stripes(5, 5).pixels[:, 0]
    fitted.save(tmp_path / "run")
    loaded = ScoreClassifier.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.predict_proba(x), fitted.predict_proba(x))
    assert loaded.predict(x).tolist() == fitted.predict(x).tolist()
    with pytest.raises(RunError, match="has no model"):
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


@pytest.mark.slow
@pytest.mark.usefixtures("few_cases")
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
    assert {path.name for path in run.iterdir()} == {CONFIG, MANIFEST, MODEL, RECORD}
    np.testing.assert_array_equal(ScoreClassifier.load(run).predict(x), fitted.predict(x))
    assert "give --data" in cli("report", run).err.lower()
    assert cli("report", run, "--data", tiny_npz).code == 0
    assert "Trained on array, SHA-256 " in (run / "report.html").read_text()


def test_nothing_is_learned_of_stopping_from_the_training_images() -> None:
    data = stripes(40, 8)
    classifier = ScoreClassifier(**SMALL, validation_fraction=0.0).fit(data.pixels[:, 0], data.labels)
    assert classifier.model_.statistics is None
    assert classifier.model_.novelty is None
    assert (classifier.classify(data.pixels[:3, 0]).passes == 16).all()


def test_samples_are_in_the_units_of_the_input(fitted: ScoreClassifier) -> None:
    samples = fitted.sample(3, steps=6)
    assert samples.shape == (2, 3, 1, 8, 12)
    assert 60 < samples.mean() < 220


@pytest.mark.slow
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


@pytest.mark.parametrize("shape", [(20, 8, 12, 3), (20, 8, 12, 1), (20, 8, 12, 12)])
def test_channels_last_and_volumes_are_refused_at_every_door(fitted: ScoreClassifier, shape: tuple[int, ...]) -> None:
    x, y = np.full(shape, 9, np.uint8), np.arange(20) % 2
    for refused in (ScoreClassifier(**SMALL).fit, lambda x, y: fitted.predict(x), lambda x, y: fitted.class_evidence(x)):
        with pytest.raises(DataError, match=r"looks (channels last|like volumes)"):
            refused(x, y)


def test_channels_moved_as_told_are_taken() -> None:
    data = stripes(40, 1, (3, 8, 12))
    last = np.moveaxis(data.pixels, 1, -1)
    classifier = ScoreClassifier(**SMALL, validation_fraction=0.0)
    with pytest.raises(DataError, match=r"Use np.moveaxis\(X, -1, 1\)"):
        classifier.fit(last, data.labels)
    classifier.fit(np.moveaxis(last, -1, 1), data.labels)
    assert classifier.model_.image_shape == (3, 8, 12)
    with pytest.raises(DataError, match="looks channels last"):
        classifier.predict(last)


def test_more_channels_are_taken_where_they_are_declared(tmp_path: Path) -> None:
    data = stripes(40, 1, (5, 8, 12))
    with pytest.raises(DataError, match=r"set image_shape=\(5, 8, 12\)"):
        ScoreClassifier(**SMALL).fit(data.pixels, data.labels)
    classifier = ScoreClassifier(**SMALL, validation_fraction=0.0, image_shape=(5, 8, 12)).fit(data.pixels, data.labels)
    classifier.save(tmp_path / "run")
    loaded = ScoreClassifier.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.predict_proba(data.pixels[:4]), classifier.predict_proba(data.pixels[:4]))


@pytest.mark.parametrize("saved", [False, True])
def test_images_in_other_units_are_refused_after_integers(fitted: ScoreClassifier, tmp_path: Path, saved: bool) -> None:
    x = stripes(6, 5).pixels[:, 0]
    classifier = fitted
    if saved:
        fitted.save(tmp_path / "run")
        classifier = ScoreClassifier.load(tmp_path / "run")
    for given in (x / 255, x / 127.5 - 1, x.astype(np.uint16), x > 120, x.astype(np.int64) * 16):
        for answer in (classifier.predict, classifier.predict_proba, classifier.class_evidence, classifier.classify):
            with pytest.raises(DataError, match="the model was trained on uint8"):
                answer(given)
    expected = classifier.predict_proba(x)
    for same in (x.astype(np.int64), x.astype(float), x.tolist(), list(x), (x / 255 * 255).round().astype(np.uint8)):
        np.testing.assert_array_equal(classifier.predict_proba(same), expected)
    with pytest.warns(UnitsWarning, match="6 of 6 images of X: values below a sixteenth"):
        classifier.predict(x // 32)


@pytest.mark.parametrize("saved", [False, True])
def test_images_in_other_units_are_told_of_after_floats(tmp_path: Path, saved: bool) -> None:
    data = stripes(40, 1)
    x = data.pixels / 255
    classifier = ScoreClassifier(**SMALL, validation_fraction=0.0).fit(x, data.labels)
    if saved:
        classifier.save(tmp_path / "run")
        classifier = ScoreClassifier.load(tmp_path / "run")
    with pytest.warns(UnitsWarning, match="40 of 40 images of X: values of"):
        classifier.predict(x * 255)
    with pytest.raises(DataError, match=r"trained on floats of .* X / 255"):
        classifier.predict(data.pixels)
    with warnings.catch_warnings(action="error", category=UnitsWarning):
        classifier.predict(data.pixels / 255)


def test_8_bit_after_16_is_stretched_and_told_of() -> None:
    data = stripes(40, 1)
    deep = data.pixels.astype(np.uint16) * 16
    classifier = ScoreClassifier(**SMALL, validation_fraction=0.0).fit(deep, data.labels)
    assert classifier.model_.scale.high == 4095
    with pytest.warns(UnitsWarning, match="stretched to their 0 to 4095"):
        found = classifier.predict_proba(data.pixels)
    np.testing.assert_allclose(found, classifier.predict_proba(deep), atol=0.05)


def test_images_of_several_sizes_and_labels_in_a_column(fitted: ScoreClassifier) -> None:
    data = stripes(40, 1)
    with pytest.raises(DataError, match="2 shapes"):
        fitted.predict([np.zeros((8, 12)), np.zeros((8, 9))])
    with pytest.warns(DataConversionWarning):
        ScoreClassifier(**SMALL).fit(data.pixels, data.labels[:, None])
    with pytest.raises(ValueError, match="1d array"):
        ScoreClassifier(**SMALL).fit(data.pixels, np.eye(2)[data.labels])


@pytest.mark.slow
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


@pytest.mark.slow
def test_minus_one_is_a_class_where_only_one_other_is_or_where_told_so() -> None:
    train = stripes(40, 1)
    assert ScoreClassifier(**SMALL).fit(train.pixels, train.labels * 2 - 1).classes_.tolist() == [-1, 1]
    three = np.where(np.arange(40) < 8, -1, train.labels)
    assert ScoreClassifier(**SMALL, unlabelled=None).fit(train.pixels, three).classes_.tolist() == [-1, 0, 1]
    assert ScoreClassifier(**SMALL, unlabelled=1).fit(train.pixels, np.where(three < 0, 2, three)).classes_.tolist() == [0, 2]
