"""Division of the cases of an archive into train, val and test: as published, without leaks, or in folds, by patient.

And how an array of images is divided into two parts.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

from bayescope.errors import ConfigError, DataError
from bayescope.types import Labels

SCHEMES = ("official", "leak-free", "folds")
FEWEST_HELD_OUT = 8


@dataclass(frozen=True)
class Split:
    """How cases are divided into train, val and test.

    ``official`` is the archive's own split; ``leak-free`` the same with every patient it has on both sides moved wholly
    to train; ``folds`` tests on part ``fold`` of ``folds``, drawn by patient and stratified by label.  Validation is a
    ``val_fraction`` of train, drawn by patient, none if 0.  Draws depend on ``seed`` and the tables, not on which images are
    there, except where file names alone identify the patient.  Raises ConfigError where a value is out of range.
    """

    scheme: str = "official"
    fold: int = 0
    folds: int = 5
    val_fraction: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise ConfigError(f"split {self.scheme!r}; expected one of {', '.join(SCHEMES)}. Choose one of these")
        if self.folds < 2 or not 0 <= self.fold < self.folds:
            raise ConfigError(f"fold {self.fold} of {self.folds}; expected 2 folds or more, counted from 0. Choose another")
        if not 0 <= self.val_fraction <= 0.5:
            raise ConfigError(f"validation fraction {self.val_fraction}; expected 0 to 0.5. Choose another")

    def __str__(self) -> str:
        which = f"fold {self.fold} of {self.folds}" if self.scheme == "folds" else self.scheme
        return f"{which}, {self.val_fraction:g} of train for validation, seed {self.seed}"


OFFICIAL = Split()
FOLDS = Split("folds")


def settle_official(official: pd.Series, patients: pd.Series, scheme: str) -> tuple[pd.Series, tuple[str, ...]]:
    """The official division as ``scheme`` wants it, and a note on the patients it has on both sides, if any."""
    on_both_sides = official.groupby(patients).transform("nunique") > 1
    n_leaking = patients[on_both_sides].nunique()
    if not n_leaking or scheme == "folds":
        return official, ()
    if scheme == "official":
        return official, (
            f"{n_leaking} patients in train and in test, as published: results on test are too good; leak-free moves them",
        )
    n_moved = int((on_both_sides & (official == "test")).sum())
    return official.mask(on_both_sides, "train"), (
        f"{n_leaking} patients in train and in test moved wholly to train, {n_moved} rows with them",
    )


def divide(labelled: pd.DataFrame, split: Split, archive: str) -> pd.Series:
    """Train, val or test for each of the cases, which have label, patient and the official ``split``.

    ``archive`` is named in the DataError raised if patients are too few to draw from.
    """
    part = labelled["split"].astype(object)
    if split.scheme == "folds":
        part[:] = "train"
        part.loc[_held_out(labelled, split.folds, split.fold, split.seed, archive)] = "test"
    if split.val_fraction:
        train = labelled[part == "train"]
        part[_held_out(train, round(1 / split.val_fraction), 0, split.seed, archive)] = "val"
    return part


def hold_out(labels: Labels, fraction: float, seed: int, groups: Sequence[str] | None = None) -> tuple[Labels, Labels]:
    """Split images at random into two parts, stratified by label.

    Parameters
    ----------
    labels : (n,)
        Class of each image, numbered from 0.
    fraction : float
        Share of the images to hold out, at least 0 and below 1.  With ``groups`` it is rounded to 1/k, k ≥ 2.
    seed : int
        Of the random draw.
    groups : (n,), optional
        Patient of each image; all images of a patient go to the same part.

    Returns
    -------
    train, held_out : (m,), (n - m,)
        Indices.  None are held out if they would be fewer than 8, fewer than the classes or of one patient, or if a class
        would be in one part only.

    Raises
    ------
    ConfigError
        If ``fraction`` is out of range.
    """
    if not 0 <= fraction < 1:
        raise ConfigError(f"validation_fraction {fraction}; expected at least 0 and below 1. Give such a share")
    everyone, n_held_out, n_classes = np.arange(len(labels)), round(fraction * len(labels)), labels.max() + 1
    patients = everyone if groups is None else np.unique(groups, return_inverse=True)[1]
    patients_of_class = [len(np.unique(patients[labels == k])) for k in range(n_classes)]
    fewest = max(FEWEST_HELD_OUT, n_classes)
    if n_held_out < fewest or min(patients_of_class) < 2:
        return everyone, everyone[:0]
    if groups is None:
        train, held_out = train_test_split(everyone, test_size=n_held_out, stratify=labels, random_state=seed)
        return train, held_out
    n_folds = min(max(2, round(1 / fraction)), max(patients_of_class))
    folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        for train, held_out in folds.split(everyone, labels, patients):
            in_both = min(len(np.unique(labels[part])) for part in (train, held_out)) == n_classes
            if in_both and len(held_out) >= fewest and len(np.unique(patients[held_out])) > 1:
                return train, held_out
    return everyone, everyone[:0]


def _held_out(cases: pd.DataFrame, n_folds: int, fold: int, seed: int, archive: str) -> pd.Index:
    """Index values of the cases of one fold of patients."""
    rarest = cases.groupby("label")["patient"].nunique().min() if len(cases) else 0
    if rarest < n_folds:
        raise DataError(
            f"{archive}: {rarest} patients of the rarest class; expected at least {n_folds} to draw from. "
            "Take fewer folds, or another validation fraction"
        )
    draw = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    parts = [held_out for _, held_out in draw.split(cases, cases["label"], cases["patient"])]
    return cases.index[parts[fold]]
