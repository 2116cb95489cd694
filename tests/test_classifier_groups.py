"""Patients and given validation images in the scikit-learn estimator."""

import warnings

import numpy as np
import pytest
import sklearn
from sklearn.model_selection import GroupKFold, cross_val_score

from bayescope import ScoreClassifier, classifier
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.errors import DataError, RenamedWarning
from conftest import stripes

SMALL = {"steps": 8, "batch_size": 8, "widths": (8, 8), "levels": 4, "noises": 2}
PATIENTS = np.arange(80) // 4


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Dataset]:
    """The data sets that are trained on."""
    seen: list[Dataset] = []
    fit = classifier.parts.fit

    def watched(data: Dataset, *args: object) -> object:
        seen.append(data)
        return fit(data, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(classifier.parts, "fit", watched)
    return seen


@pytest.fixture(scope="module")
def train() -> ImageSet:
    return stripes(80, 1)


def test_patients_are_held_out_whole_and_reach_the_calibration(train: ImageSet, given: list[Dataset]) -> None:
    y = train.labels.copy()
    y[::8] = -1
    fitted = ScoreClassifier(**SMALL, validation_fraction=0.2).fit(train.pixels, y, PATIENTS)
    (data,) = given
    assert data.train.groups is not None
    assert data.val.groups is not None
    assert len(data.val) >= 8
    assert not set(data.train.groups) & set(data.val.groups)
    assert data.unlabelled is not None
    assert not set(data.unlabelled.groups or ()) & set(data.val.groups)
    assert fitted.record_ is not None
    assert len(fitted.record_.patients) == 20


@pytest.mark.slow
def test_given_validation_images_are_all_that_is_held_out(train: ImageSet, given: list[Dataset]) -> None:
    val = stripes(24, 2)
    y = np.array(["b", "a"])[train.labels]
    several = [
        ScoreClassifier(**SMALL).fit(
            train.pixels, y, validation=(val.pixels.astype(np.int64), np.array(["b", "a"])[val.labels])
        )
        for _ in range(2)
    ]
    assert len(given[0].train) == 80
    np.testing.assert_array_equal(given[0].val.pixels, val.pixels)
    np.testing.assert_array_equal(given[0].val.labels, 1 - val.labels)
    first, second = (one.predict_proba(val.pixels) for one in several)
    np.testing.assert_array_equal(first, second)


def test_validation_that_does_not_fit_is_refused(train: ImageSet) -> None:
    val, whose = stripes(24, 2), np.arange(24)

    def fit(*validation: object) -> None:
        ScoreClassifier(**SMALL).fit(train.pixels, train.labels, PATIENTS, validation=validation)  # type: ignore[arg-type]

    with pytest.raises(DataError, match=r"20 patients also in the training images \(0, 1, 10, …\)"):
        fit(val.pixels, val.labels, whose)
    with pytest.raises(DataError, match=r"labels \[7\]; expected those of y, \[0, 1\]"):
        fit(val.pixels, np.where(val.labels == 1, 7, 0), whose + 20)
    with pytest.raises(DataError, match="trained on uint8"):
        fit(val.pixels / 255, val.labels)
    with pytest.raises(DataError, match="validation of 1 parts"):
        fit(val.pixels)
    with pytest.raises(ValueError, match="inconsistent numbers"):
        fit(val.pixels, val.labels, whose[:3])
    with pytest.raises(ValueError, match="groups contains NaN"):
        fit(val.pixels, val.labels, np.full(24, np.nan))


@pytest.mark.parametrize("n_patients", [1, 2, 3])
def test_validation_images_of_few_patients(train: ImageSet, n_patients: int) -> None:
    val = stripes(24, 2)
    classifier = ScoreClassifier(**SMALL | {"steps": 1})
    with warnings.catch_warnings(action="ignore"):
        model = classifier.fit(
            train.pixels, train.labels, validation=(val.pixels, val.labels, np.arange(24) % n_patients)
        ).model_
    assert model.calibration.calibrated == (n_patients > 1)
    assert ("one patient only" in model.calibration.warning) == (n_patients == 1)
    assert (model.decisions is not None) == (n_patients > 2)


@pytest.mark.slow
@pytest.mark.parametrize("routed", [False, True])
def test_cross_validation_with_patients(train: ImageSet, given: list[Dataset], routed: bool) -> None:
    estimator, folds = ScoreClassifier(**SMALL), GroupKFold(3)
    if not routed:
        scores = cross_val_score(estimator, train.pixels, train.labels, groups=PATIENTS, cv=folds)
        assert given[0].train.groups is None
    else:
        with sklearn.config_context(enable_metadata_routing=True):
            estimator = estimator.set_fit_request(groups=True)
            scores = cross_val_score(estimator, train.pixels, train.labels, params={"groups": PATIENTS}, cv=folds)
        assert given[0].train.groups is not None
        assert len(given) == 3
    assert len(scores) == 3
    assert not np.isnan(scores).any()


def test_old_names_of_parameters(train: ImageSet) -> None:
    for old in ("error_rate", "imitated_shift"):
        with pytest.raises(TypeError, match=old):
            ScoreClassifier(**{old: 0.1})
    with pytest.warns(RenamedWarning, match='calibration = "isotonic"'):
        renamed = ScoreClassifier(**SMALL | {"steps": 1}, calibration="monotone").fit(train.pixels, train.labels)  # type: ignore[arg-type]
    with warnings.catch_warnings(action="error", category=RenamedWarning):
        assert renamed.model_.config.evidence.calibration in ("isotonic", "none")
