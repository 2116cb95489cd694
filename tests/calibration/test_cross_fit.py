"""Cross-fitting on data where an image seen by its own fit would change the answer."""

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from bayescope.calibration import KINDS
from bayescope.calibration.cross_fit import (
    cross_fitted_calibration,
    level_weights_of_copies,
    out_of_fold,
    out_of_fold_evidence,
)
from bayescope.config import EvidenceConfig
from bayescope.errors import ConfigError, DataError
from bayescope.evidence.denoising import LevelEvidence
from bayescope.evidence.level_weights import LevelWeights
from bayescope.evidence.level_weights_fit import fit_level_weights
from bayescope.types import Floats, Labels

SIGMAS, PRIOR = np.array([0.1, 0.3, 1.0, 3.0]), np.array([0.3, 0.7])
LABELS = np.arange(45) % 2
PATIENTS = [f"p{i // 3}" for i in range(45)]
SETTINGS = EvidenceConfig(level_weights="fitted", calibration="affine")


def copies(n: int = 2, signal: float = 0.0) -> list[LevelEvidence]:
    """Noise that tells the classes apart by chance alone, or with a ``signal`` at one level."""
    rng = np.random.default_rng(3)
    values = 0.5 * rng.normal(size=(45, 2, 4, 2))
    values[np.arange(45), LABELS, 2] += signal
    return [LevelEvidence(values + 0.1 * i * rng.normal(size=values.shape), SIGMAS) for i in range(n)]


def fold_by_fold(evidence: list[LevelEvidence], patients: list[str] | None) -> Floats:
    kind = StratifiedKFold if patients is None else StratifiedGroupKFold
    found = np.empty((len(evidence), 45, 2))
    for fitting, asked in kind(5, shuffle=True, random_state=0).split(LABELS, LABELS, patients):
        joined = LevelEvidence(np.concatenate([copy.values[fitting] for copy in evidence]), SIGMAS)
        weights = fit_level_weights(joined, np.concatenate([LABELS[fitting]] * len(evidence)))
        for i, copy in enumerate(evidence):
            found[i, asked] = copy.values[asked].mean(axis=3) @ weights.weights
    return found


@pytest.mark.parametrize("patients", [None, PATIENTS], ids=["images", "patients"])
def test_each_images_weights_were_fitted_on_the_other_folds(patients: list[str] | None) -> None:
    expected = fold_by_fold(copies(), patients)
    np.testing.assert_allclose(out_of_fold_evidence(SETTINGS, copies(), LABELS, patients), expected, rtol=1e-6)
    everyone = level_weights_of_copies(SETTINGS, copies(), LABELS)
    leaked = np.stack([everyone.evidence(copy) for copy in copies()])
    assert (np.abs(expected - leaked) > 0.1 * np.abs(leaked)).mean() > 0.5, "leakage would change most of them"


@pytest.mark.parametrize("patients", [None, PATIENTS], ids=["images", "patients"])
@pytest.mark.parametrize("kind", ["affine", "isotonic"])
def test_the_calibration_is_fitted_on_evidence_of_other_folds_and_all_copies(kind: str, patients: list[str] | None) -> None:
    settings = EvidenceConfig(level_weights="fitted", calibration=kind)
    given = copies(signal=0.4)
    found = cross_fitted_calibration(settings, given, LABELS, PRIOR, patients)
    evidence = fold_by_fold(given, patients).reshape(90, 2)
    expected = KINDS[kind].fit(evidence, np.concatenate([LABELS, LABELS]), PRIOR, 2)
    assert type(found) is KINDS[kind]
    assert found.images == (23, 22)
    np.testing.assert_allclose(
        found.calibrate(evidence, PRIOR, lambda gradient: gradient[:, 0]).log_posterior,
        expected.calibrate(evidence, PRIOR, lambda gradient: gradient[:, 0]).log_posterior,
        rtol=1e-5,
    )


@pytest.mark.parametrize(("kind", "fewest"), [("affine", 5), ("isotonic", 20)])
def test_the_fewest_images_are_enough_and_one_less_is_not(kind: str, fewest: int) -> None:
    settings = EvidenceConfig(level_weights="bound", calibration=kind)
    for n, calibrated in ((fewest, True), (fewest - 1, False)):
        labels = np.repeat([0, 1], [40, n])
        values = np.random.default_rng(0).normal(size=(len(labels), 2, 4, 2))
        found = cross_fitted_calibration(settings, [LevelEvidence(values, SIGMAS)], labels, PRIOR)
        assert found.calibrated == calibrated
        assert found.images == (40, n)
        if not calibrated:
            assert kind in found.warning
            assert f"at least {fewest}" in found.warning


def test_nothing_is_fitted_where_none_is_asked_for_or_one_patient_is_all_there_is() -> None:
    none = cross_fitted_calibration(EvidenceConfig(calibration="none"), copies(1), LABELS, PRIOR)
    assert (none.calibrated, none.images) == (False, (23, 22))
    assert "as configured" in none.warning
    one = cross_fitted_calibration(SETTINGS, copies(1), LABELS, PRIOR, ["p"] * 45)
    assert not one.calibrated
    assert "one patient" in one.warning
    with pytest.raises(ConfigError, match=r"\bevidence\.calibration\b"):
        cross_fitted_calibration(EvidenceConfig(calibration="other"), copies(1), LABELS, PRIOR)
    two = cross_fitted_calibration(EvidenceConfig(level_weights="bound"), copies(1), LABELS, PRIOR, ["p"] * 20 + ["q"] * 25)
    assert two.calibrated


def test_one_value_that_is_not_finite_is_counted_as_one_image() -> None:
    evidence = copies(1)
    evidence[0].values[7, 1, 2, 0] = np.inf
    with pytest.raises(DataError, match=r"not finite of 1 validation images"):
        cross_fitted_calibration(EvidenceConfig(level_weights="bound"), evidence, LABELS, PRIOR)


@pytest.mark.parametrize(("labels", "expected"), [([0, 0, 1, 1, 1, 1, 1], 2), ([0] * 3 + [2] * 9, 3), ([1] * 30 + [0] * 30, 5)])
def test_there_are_five_folds_or_as_many_as_the_rarest_class_has_images(labels: list[int], expected: int) -> None:
    asked: list[Labels] = []

    def predict(fitting: Labels, chosen: Labels) -> Floats:
        asked.append(chosen)
        return chosen.astype(float)

    np.testing.assert_array_equal(out_of_fold(predict, np.array(labels)), np.arange(len(labels)))
    assert len(asked) == expected
    first = [part.tolist() for part in asked]
    asked.clear()
    out_of_fold(predict, np.array(labels), seed=1)
    assert [part.tolist() for part in asked] != first


def test_a_class_of_one_image_or_a_single_patient_cannot_be_cross_fitted() -> None:
    def nothing(fitting: Labels, asked: Labels) -> Floats:
        return asked.astype(float)

    with pytest.raises(DataError, match=r"\[2, 0, 1\]"):
        out_of_fold(nothing, np.array([0, 0, 2]))
    with pytest.raises(DataError, match=r"\[\]"):
        out_of_fold(nothing, np.array([], dtype=np.int64))
    with pytest.raises(DataError, match="one patient only"):
        out_of_fold(nothing, np.arange(10) % 2, ["p"] * 10)
    np.testing.assert_array_equal(out_of_fold(nothing, np.arange(10) % 2, ["p"] * 4 + ["q"] * 6), np.arange(10))


def test_other_level_weights_are_fitted_where_they_are_given() -> None:
    """Weights of one level alone, whatever the images."""
    given, only = copies(1, signal=0.4), LevelWeights(np.array([0.0, 0.0, 1.0, 0.0]), np.zeros(2))
    found = cross_fitted_calibration(SETTINGS, given, LABELS, PRIOR, fit_weights=lambda known, labels: only)
    expected = KINDS["affine"].fit(only.evidence(given[0]), LABELS, PRIOR)
    assert found == expected
