"""The columns of a case table, and words that may mean a missing value."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from bayescope.data.tables.spelling import describe_rows
from bayescope.errors import DataError

REQUIRED, OPTIONAL = ("path", "label"), ("patient", "split", "frame", "side", "study")
MAY_BE_BLANK = ("label", "frame", "side", "study")
"""Columns with blank fields in some rows."""
_MISSING = frozenset({"nan", "<na>", "nat", "#n/a", "#null!", "#value!"})
_DOUBTFUL = frozenset({"na", "n/a", "none", "null", "nil", "-", "?", "unknown"})
_RESEMBLING = {
    "patient": ("patient", "patients", "patientid", "patientno", "patientnumber", "subject", "subjectid"),
    "split": ("split", "splits", "set", "subset", "dataset", "partition", "fold"),
    "frame": ("frame", "frameno", "framenumber"),
}
"""Names, in small letters alone, of the optional columns in other tables."""


def check_columns(path: Path, table: pd.DataFrame) -> None:
    """Raise DataError unless there is one column ``path`` and one ``label``, and no other known one twice."""
    names = [str(name) for name in table.columns]
    if repeated := [name for name, count in Counter(names).items() if count > 1 and name in (*REQUIRED, *OPTIONAL)]:
        raise DataError(f"{path}: {', '.join(repeated)} heads several columns; expected one. Rename or remove the others")
    missing = [name for name in REQUIRED if name not in names]
    near = [name for name in names if name.strip().lower() in missing]
    if near:
        wanted = ", ".join(f"{name!r} to {name.strip().lower()!r}" for name in near)
        raise DataError(f"{path}: columns {names}; expected path,label[,patient][,split] in lower case. Rename {wanted}")
    if missing:
        one_hot = [name for name in names if set(table[name].astype(str)) <= {"0", "1", "0.0", "1.0", "False", "True"}]
        if missing == ["label"] and len(one_hot) > 1:
            raise DataError(
                f"{path}: columns {', '.join(one_hot)} of 0 and 1, one for each class; expected one column label. Put the "
                "name of the class into it"
            )
        raise DataError(
            f"{path}: columns {names}; expected path,label[,patient][,split], missing {missing}. Name the columns so"
        )


def resembling_columns(path: Path, columns: Iterable[str]) -> list[str]:
    """What to warn of columns that are not used, and that by their name may be one that is absent."""
    names = [str(name) for name in columns]
    return [
        f"{path}: column {name!r} is not used; rename it to {known} if it gives the {known} of each image"
        for known, others in _RESEMBLING.items()
        if known not in names
        for name in names
        if "".join(filter(str.isalpha, name.lower())) in others
    ]


def check_words(path: Path, column: str, words: Sequence[str], rows: Sequence[int]) -> list[str]:
    """What to warn of labels or patients that may mean a missing value.  Raises DataError for those that certainly do."""
    found = {
        word: [row for row, given in zip(rows, words, strict=True) if given.lower() == word]
        for word in dict.fromkeys(map(str.lower, words))
    }
    kind = "class" if column == "label" else column
    if gone := {word: where for word, where in found.items() if word in _MISSING}:
        described = "; ".join(f"{word!r} in {describe_rows(where)}" for word, where in gone.items())
        raise DataError(
            f"{path}: {column}s that mean a missing value: {described}; expected the name of a {kind}. Fill in the {column}, "
            "or remove the rows"
        )
    return [
        f"{path}: {column} {word!r} in {describe_rows(where)} is taken for a {kind}; if it means a missing value, "
        "remove the rows"
        for word, where in found.items()
        if word in _DOUBTFUL
    ]


def check_frames(path: Path, frames: Sequence[str], rows: Sequence[int]) -> None:
    """Raise DataError naming the rows whose frame is no number from 1 on, nor blank."""
    if wrong := [row for row, frame in zip(rows, frames, strict=True) if frame and (not frame.isdecimal() or int(frame) < 1)]:
        raise DataError(
            f"{path}: column frame in {describe_rows(wrong)} is no number from 1 on; expected 1, 2, … or blank. Correct it"
        )
