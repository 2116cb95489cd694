"""The classifier of whole studies: one image keeps its answer, and the correlation is learned on held-out groups."""

import numpy as np
import pytest

from bayescope import ScoreClassifier, StudyClassifier
from bayescope.data.dataset import Dataset
from bayescope.errors import ConfigError, DataError, UncalibratedWarning


@pytest.fixture(scope="module")
def classifier(tiny_data: Dataset) -> ScoreClassifier:
    labels = np.array(tiny_data.class_names)[tiny_data.train.labels]
    settings = {"steps": 24, "batch_size": 8, "widths": (8, 8), "levels": 4, "noises": 2, "device": "cpu"}
    held_out = tiny_data.val.pixels, np.array(tiny_data.class_names)[tiny_data.val.labels]
    return ScoreClassifier(**settings).fit(tiny_data.train.pixels, labels, validation=held_out)


def labels_of(data: Dataset) -> np.ndarray:
    return np.array(data.class_names)[data.test.labels]


def test_one_image_keeps_its_answer(classifier: ScoreClassifier, tiny_data: Dataset) -> None:
    images, study = tiny_data.test.pixels[:6], StudyClassifier(classifier, by="patient")
    alone = classifier.set_params(disagreement_rate=0.0).classify(images)
    found = study.classify(images, np.arange(6))
    np.testing.assert_allclose(found.log_likelihood_ratio, alone.log_likelihood_ratio, atol=1e-9)
    np.testing.assert_array_equal(study.predict(images, np.arange(6)), classifier.predict(images))
    np.testing.assert_allclose(study.predict_proba(images, np.arange(6)), alone.posterior, atol=1e-9)


def test_it_learns_on_held_out_groups(classifier: ScoreClassifier, tiny_data: Dataset) -> None:
    """Images 2k and 2k + 2 are of one class."""
    groups = np.arange(40) // 4 * 2 + np.arange(40) % 2
    study = StudyClassifier(classifier, by="breast")
    with pytest.warns(UncalibratedWarning, match="few held-out groups"):
        study.fit(tiny_data.test.pixels, labels_of(tiny_data), groups)
    assert study.pooling_.fitted
    assert study.pooling_.groups == (10, 10)
    found = study.classify(tiny_data.test.pixels, groups)
    assert len(found) == 20
    for share, ratio in zip(found.shares, found.log_likelihood_ratio, strict=True):
        np.testing.assert_allclose(share.sum(axis=0), ratio, atol=1e-9)
    assert set(study.predict(tiny_data.test.pixels, groups)) <= {"upper", "lower"}


def test_one_image_is_enough(classifier: ScoreClassifier, tiny_data: Dataset) -> None:
    groups = np.r_[np.arange(20) // 2, 10 + np.arange(20) // 4 * 2 + np.arange(20) % 2]
    study = StudyClassifier(classifier, by="patient", any_of="lower")
    with pytest.warns(UncalibratedWarning, match="few held-out groups"):
        study.fit(tiny_data.test.pixels, labels_of(tiny_data), groups)
    assert study.classes_.tolist() == [False, True]
    assert study.predict(tiny_data.test.pixels, groups).dtype == bool
    assert study.pooling_.groups == (5, 15)
    with pytest.raises(DataError, match="10 of 20 groups by patient"):
        StudyClassifier(classifier, by="patient").fit(tiny_data.test.pixels, labels_of(tiny_data), groups)


def test_what_is_not_possible_is_refused(classifier: ScoreClassifier, tiny_data: Dataset) -> None:
    images, one = tiny_data.test.pixels[:2], np.zeros(2)
    with pytest.raises(ConfigError, match="expected one of patient, breast, study"):
        StudyClassifier(classifier, by="hospital").classify(images, one)
    with pytest.raises(DataError, match="Leave these images out"):
        StudyClassifier(classifier).fit(images, ["upper", "middle"], one)
    with pytest.raises(ConfigError, match="--any middle"):
        StudyClassifier(classifier, any_of="middle").classify(images, one)
