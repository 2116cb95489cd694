"""Images of one patient, one breast or one study: how they are recognised in case tables."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bayescope.data.dataset import ImageSet
from bayescope.errors import DataError, lookup
from bayescope.types import Labels

GROUPS = {"patient": "groups", "breast": "breasts", "study": "studies"}
"""What images may have in common, and the field of :class:`~bayescope.data.dataset.ImageSet` that tells."""
NEEDS = {"patient": "a column patient", "breast": "columns patient and side", "study": "a column study"}
GROUP_COLUMNS = ("side", "header_side", "study", "header_study")
"""Columns of a case table that, beside the patient, tell breasts and studies; a cache of an earlier version lacks the last."""


def keys_of(images: ImageSet, by: str) -> tuple[str, ...]:
    """Patient, breast or study of each image.

    Parameters
    ----------
    images : ImageSet
        The images.
    by : str
        ``"patient"``, ``"breast"`` or ``"study"``.

    Returns
    -------
    tuple of str
        Blank where it is not known.

    Raises
    ------
    ConfigError
        If ``by`` is something else.
    DataError
        If it is known of no image.
    """
    found: tuple[str, ...] | None = getattr(images, lookup(GROUPS, by, "by"))
    if found is None or not any(found):
        raise DataError(
            f"{len(images)} images, none with its {by}; expected some. Give a table or a cache with {NEEDS[by]}, or DICOM "
            "files that name it"
        )
    return found


def members_of(keys: Sequence[str]) -> tuple[tuple[str, ...], tuple[Labels, ...]]:
    """Groups of images with the same key, in the order in which they first appear.

    Parameters
    ----------
    keys : sequence of str
        Patient, breast or study of each image; one that is blank is a group of its own.

    Returns
    -------
    names : tuple of str
        Key of each group.
    members : tuple of ndarray
        Positions of the images of each group.
    """
    own = [key or f"\0{i}" for i, key in enumerate(keys)]
    positions: dict[str, list[int]] = {}
    for i, key in enumerate(own):
        positions.setdefault(key, []).append(i)
    names = tuple("" if key.startswith("\0") else key for key in positions)
    return names, tuple(np.array(found, dtype=np.int64) for found in positions.values())


def labels_of_groups(
    labels: Labels, members: Sequence[Labels], class_names: Sequence[str], by: str, positive: str | None = None
) -> Labels:
    """True class of each group of images.

    Parameters
    ----------
    labels : ndarray of shape (n,)
        True class of each image.
    members : sequence of ndarray
        Positions of the images of each group.
    class_names : sequence of str
        Names of the classes.
    by : str
        What the images of a group have in common.
    positive : str, optional
        The class that a group belongs to if any of its images does (default: all images of a group show the same class).

    Returns
    -------
    ndarray of shape (groups,)
        The common class; with ``positive``, 1 for groups of it and 0 for others.

    Raises
    ------
    DataError
        If the images of a group differ in class, and no ``positive`` is given.
    """
    if positive is not None:
        return np.array([(labels[found] == class_names.index(positive)).any() for found in members], dtype=np.int64)
    differing = sum(len(set(labels[found].tolist())) > 1 for found in members)
    if differing:
        raise DataError(
            f"{differing} of {len(members)} groups by {by} have images of different classes; expected one class in each. Name "
            "the class of which one image is enough (--any CLASS), or group them otherwise"
        )
    return labels[[found[0] for found in members]]


def patients_of(table: pd.DataFrame) -> tuple[str, ...] | None:
    """The patient of each case; None unless the table names them all."""
    if "patient" not in table or table["patient"].isna().any():
        return None
    return tuple(table["patient"].astype(str))


def breasts_of(table: pd.DataFrame) -> tuple[str, ...] | None:
    """The breast of each case, ``"patient side"``, blank where one of both is not known; None if the table names no side."""
    patients, sides = _first_given(table, "patient"), _first_given(table, "side", "header_side")
    if patients is None or sides is None:
        return None
    return tuple(f"{patient} {side}" if patient and side else "" for patient, side in zip(patients, sides, strict=True))


def studies_of(table: pd.DataFrame) -> tuple[str, ...] | None:
    """The study of each case, blank where it is not known; None if the table names none."""
    return _first_given(table, "study", "header_study")


def keys_of_table(table: pd.DataFrame, by: str) -> tuple[str, ...] | None:
    """Patient, breast or study of each row, blank where it is not known.  Raises ConfigError for another ``by``."""
    lookup(GROUPS, by, "by")
    if by == "patient":
        return _first_given(table, "patient")
    return breasts_of(table) if by == "breast" else studies_of(table)


def _first_given(table: pd.DataFrame, *columns: str) -> tuple[str, ...] | None:
    """The first of the columns that is not wholly blank."""
    for column in columns:
        if column in table:
            found = tuple("" if pd.isna(value) else str(value) for value in table[column])
            if any(found):
                return found
    return None
