"""Division of the cases of an archive: what becomes of each patient under each scheme."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from bayescope.data.splits import FOLDS, OFFICIAL, Split, divide, hold_out, settle_official
from bayescope.errors import ConfigError, DataError


def cases(n: int = 120) -> pd.DataFrame:
    """Two images of each patient, a third of the patients malignant; the last quarter officially test; an index of its own."""
    number = np.arange(n) // 2
    return pd.DataFrame(
        {
            "patient": [f"p{i}" for i in number],
            "label": np.where(number % 3 == 0, "malignant", "benign"),
            "split": np.where(np.arange(n) < 0.75 * n, "train", "test"),
        },
        index=np.arange(n) * 10 + 7,
    )


def test_the_official_split_stands_and_validation_is_taken_from_train_by_patient() -> None:
    table = cases()
    part = divide(table, OFFICIAL, "archive")
    assert part.index.equals(table.index)
    np.testing.assert_array_equal(part == "test", table["split"] == "test")
    val = table[part == "val"]
    assert 0.05 < len(val) / 90 < 0.15
    assert not set(val["patient"]) & set(table[part == "train"]["patient"])
    assert (val["label"] == "malignant").mean() == pytest.approx(1 / 3, abs=0.1)
    assert table["split"].isin(["train", "test"]).all(), "the table itself is left alone"


def test_validation_is_the_first_of_as_many_folds_of_train_as_the_fraction_says() -> None:
    table = cases()
    train = table[table["split"] == "train"]
    for fraction, n_folds, seed in ((0.1, 10, 0), (0.25, 4, 0), (0.25, 4, 3)):
        folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed).split(train, train["label"], train["patient"])
        expected = train.index[next(iter(folds))[1]]
        part = divide(table, Split(val_fraction=fraction, seed=seed), "archive")
        assert sorted(part.index[part == "val"]) == sorted(expected)


def test_no_validation_is_taken_where_none_is_asked_for() -> None:
    table = cases()
    pd.testing.assert_series_equal(divide(table, Split(val_fraction=0.0), "a"), table["split"].astype(object))


def test_each_patient_is_tested_in_one_fold() -> None:
    table = cases()
    parts = [divide(table, replace(FOLDS, fold=fold, folds=4, seed=1), "archive") for fold in range(4)]
    tested = pd.concat([table[part == "test"] for part in parts])
    assert sorted(tested.index) == sorted(table.index)
    for part in parts:
        groups = [set(table[part == name]["patient"]) for name in ("train", "val", "test")]
        assert sum(map(len, groups)) == len(set.union(*groups)) == 60
        assert (part == "test").sum() == 30
    again = divide(table, replace(FOLDS, fold=2, folds=4, seed=1), "archive")
    assert again.equals(parts[2])
    assert not divide(table, replace(FOLDS, fold=2, folds=4, seed=2), "archive").equals(parts[2])


def test_too_few_patients_are_told_by_number_and_archive() -> None:
    table = cases(24)
    with pytest.raises(DataError, match="CBIS: 4 patients of the rarest class; expected at least 5"):
        divide(table, FOLDS, "CBIS")
    divide(table, replace(FOLDS, folds=4, val_fraction=0.5), "CBIS")
    with pytest.raises(DataError, match="VinDr: 3 patients of the rarest class; expected at least 4"):
        divide(table, Split(val_fraction=0.25), "VinDr")
    with pytest.raises(DataError, match="0 patients"):
        divide(table[table["split"] == "test"], Split(val_fraction=0.5), "archive")


def leaking() -> tuple[pd.Series, pd.Series]:
    official = pd.Series(["train", "train", "test", "test", "test", "train"], index=list("uvwxyz"))
    return official, pd.Series(["a", "b", "b", "c", "b", "d"], index=list("uvwxyz"))


def test_a_patient_on_both_sides_is_told_of_or_moved_wholly_to_train() -> None:
    official, patients = leaking()
    kept, note = settle_official(official, patients, "official")
    assert kept.equals(official)
    assert note[0].startswith("1 patients in train and in test, as published")
    moved, note = settle_official(official, patients, "leak-free")
    assert moved.tolist() == ["train", "train", "train", "test", "train", "train"]
    assert note == ("1 patients in train and in test moved wholly to train, 2 rows with them",)
    untouched, note = settle_official(official, patients, "folds")
    assert untouched.equals(official)
    assert note == ()
    for scheme in ("official", "leak-free"):
        same, note = settle_official(official, pd.Series(list("abcdef"), index=list("uvwxyz")), scheme)
        assert same.equals(official)
        assert note == ()


@pytest.mark.parametrize(
    "wrong",
    [{"scheme": "other"}, {"folds": 1}, {"fold": 5}, {"fold": -1}, {"val_fraction": -0.01}, {"val_fraction": 0.51}],
    ids=str,
)
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Split(**wrong)  # type: ignore[arg-type]


def test_settings_at_their_bounds_are_taken_and_told() -> None:
    Split("folds", fold=0, folds=2, val_fraction=0.0)
    Split("folds", fold=1, folds=2, val_fraction=0.5)
    assert (
        str(Split("folds", fold=2, folds=4, val_fraction=0.25, seed=9)) == "fold 2 of 4, 0.25 of train for validation, seed 9"
    )
    assert str(OFFICIAL) == "official, 0.1 of train for validation, seed 0"
    assert (OFFICIAL.scheme, FOLDS.scheme, FOLDS.folds) == ("official", "folds", 5)


@pytest.mark.parametrize(("n", "held_out"), [(8, 8), (7, 0)])
def test_eight_images_are_the_fewest_to_hold_out(n: int, held_out: int) -> None:
    assert len(hold_out(np.arange(2 * n) % 2, 0.5, 0)[1]) == held_out
    patients = [f"p{i}" for i in range(2 * n)]
    assert len(hold_out(np.arange(2 * n) % 2, 0.5, 0, patients)[1]) == held_out


def test_as_many_images_as_classes_are_the_fewest_to_hold_out() -> None:
    labels = np.repeat(np.arange(12), 2)
    assert len(hold_out(labels, 0.5, 0)[1]) == 12
    assert len(hold_out(labels, 11 / 24, 0)[1]) == 0


def test_patients_are_held_out_in_the_first_fold_that_will_do() -> None:
    labels, patients = np.arange(80) % 2, [f"p{i // 4}" for i in range(80)]
    for fraction, n_folds in ((0.25, 4), (0.1, 10), (0.9, 2)):
        folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=5).split(labels, labels, patients)
        expected = next(held for _, held in folds if len(held) >= 8)
        train, held_out = hold_out(labels, fraction, 5, patients)
        np.testing.assert_array_equal(held_out, expected)
        np.testing.assert_array_equal(train, np.setdiff1d(np.arange(80), expected))


def test_a_fold_of_one_patient_is_not_held_out() -> None:
    labels = np.arange(60) % 2
    patients = ["a"] * 20 + ["b"] * 20 + ["c"] * 20
    assert len(hold_out(labels, 0.3, 0, patients)[1]) == 0


def test_more_folds_than_patients_of_the_commonest_class_are_not_asked_for() -> None:
    labels, patients = np.arange(160) % 2, [f"p{i // 40}" for i in range(160)]
    train, held_out = hold_out(labels, 0.1, 0, patients)
    assert len(held_out) == 0
    assert len(train) == 160
