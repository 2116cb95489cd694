"""Reads and checks case tables ``path,label[,patient][,split][,frame]`` written by spreadsheets; errors give the row.

A column ``side`` names the breast, left or right, and ``study`` the examination; both may be blank in some rows.  Rows are
numbered as a spreadsheet shows them, the header being row 1.  What would be guessed is refused by name.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bayescope.data.filesystem.names import existing, printable
from bayescope.data.tables.spelling import describe_rows, unify
from bayescope.data.tables.table_columns import (
    MAY_BE_BLANK,
    OPTIONAL,
    REQUIRED,
    check_columns,
    check_frames,
    check_words,
    resembling_columns,
)
from bayescope.errors import DataError

SUFFIXES = (".csv", ".tsv", ".parquet")
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}
_SHOWN = 5


@dataclass(frozen=True)
class CaseTable:
    """``cases``: a row for each labelled image, text, ``path`` absolute; with ``warnings`` and harmless ``notes``.

    ``unlabelled``: the rows whose label is blank, with the same columns.
    """

    cases: pd.DataFrame
    unlabelled: pd.DataFrame
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_case_table(path: Path, normalise_labels: bool = False) -> CaseTable:
    """A CSV (comma), TSV (tab) or Parquet table in UTF-8; paths are relative to its folder.

    ``normalise_labels``: labels and patients that differ in spelling only are taken for the same.  An optional column that is
    wholly blank counts as absent.  Rows with a blank label, which may also have a blank split, are for training without
    labels.  Raises DataError naming columns and rows if the table cannot be used as it is.
    """
    path = path.absolute()
    table, rows = _parquet(path) if path.suffix.lower() == ".parquet" else _text(path)
    check_columns(path, table)
    warnings = resembling_columns(path, table.columns)
    table = table[[name for name in (*REQUIRED, *OPTIONAL) if name in table.columns]]
    table, notes = _without_blank_columns(path, table, rows)
    for column, what in (("label", "classes"), ("patient", "patients")):
        if column in table.columns:
            given = table[column] != ""
            values, where = table[column][given].tolist(), [row for row, there in zip(rows, given, strict=True) if there]
            warnings += check_words(path, column, values, where)
            values, note = unify(values, what, str(path), normalise_labels, where)
            table.loc[given, column], notes = values, [*notes, *filter(None, [note])]
    if "frame" in table.columns:
        check_frames(path, table["frame"].tolist(), rows)
    located = [_located(path, text, row) for text, row in zip(table["path"], rows, strict=True)]
    table = table.assign(path=path_column(located, table.index))
    _check_repeats(path, table, rows)
    labelled = table["label"] != ""
    cases, unlabelled = (table[chosen].reset_index(drop=True) for chosen in (labelled, ~labelled))
    return CaseTable(cases, unlabelled, tuple(warnings), tuple(notes))


def read_path_table(path: Path, columns: Sequence[str] = ("split",)) -> pd.DataFrame:
    """Columns ``path``, absolute, and ``columns``, blank where there is none, of a table that needs no labels.

    Each file once.  Raises DataError if there is no column path, or a blank field in it.
    """
    path = path.absolute()
    table, rows = _parquet(path) if path.suffix.lower() == ".parquet" else _text(path)
    if "path" not in table.columns:
        raise DataError(f"{path}: columns {list(table.columns)}; expected a column path. Name the column so")
    if blank := [row for row, text in zip(rows, table["path"], strict=True) if not text]:
        raise DataError(f"{path}: {len(blank)} rows with a blank path: {describe_rows(blank)}; expected none. Remove them")
    located = [_located(path, text, row) for text, row in zip(table["path"], rows, strict=True)]
    others = {name: table[name] if name in table.columns else "" for name in columns}
    found = pd.DataFrame({"path": path_column(located), **others})
    check_files(found, str(path))
    return found.drop_duplicates("path")


def _text(path: Path) -> tuple[pd.DataFrame, list[int]]:
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    try:
        records = list(csv.reader(io.StringIO(_decoded(path), newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise DataError(f"{path}: cannot be read as a table ({error}); expected CSV. Export it again") from None
    filled = [(number, record) for number, record in enumerate(records, start=1) if any(field.strip() for field in record)]
    if filled and filled[0][1][0].lower().startswith("sep="):
        filled.pop(0)  # for Excel, which declares the separator so
    if not filled:
        raise DataError(f"{path}: empty; expected a header path,label[,patient][,split] and a row for each image. Fill it in")
    (_, header), *body = filled
    names = [name.strip() for name in header]
    while (
        names and not names[-1] and all(len(record) <= len(names) or not record[len(names) - 1].strip() for _, record in body)
    ):
        names.pop()  # a comma at the end of each line
    _check_header(path, names, separator)
    body = [(number, _without_blank_end(record, len(names))) for number, record in body]
    if uneven := [number for number, record in body if len(record) != len(names)]:
        lengths = sorted({len(record) for _, record in body} - {len(names)})
        raise DataError(
            f"{path}: {describe_rows(uneven)} with {' or '.join(map(str, lengths))} fields, header with {len(names)}; "
            "expected as many in each. Put a field that contains a comma in quotes, remove what is too much, or add what is "
            "missing"
        )
    if not body:
        raise DataError(f"{path}: no rows; expected one for each image. Add path and label of the images")
    table = pd.DataFrame([[field.strip() for field in record] for _, record in body], columns=names, dtype=str)
    return table, [number for number, _ in body]


def _decoded(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read as a table ({error.strerror}); expected CSV. Check the path") from None
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in raw:
        raise DataError(f"{path}: UTF-16, or no text; expected a table in UTF-8. Save it as CSV UTF-8")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = raw[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}: byte {raw[error.start : error.start + 1]!r} in line {row} is not UTF-8, perhaps Latin-1; expected "
            "UTF-8. Save "
            "it as CSV UTF-8"
        ) from None


def _without_blank_end(record: list[str], n: int) -> list[str]:
    while len(record) > n and not record[-1].strip():
        record = record[:-1]
    return record


def _check_header(path: Path, names: Sequence[str], separator: str) -> None:
    if set(REQUIRED) <= set(names):
        return
    for other, word in _SEPARATORS.items():
        parts = {part.strip().strip('"') for part in separator.join(names).split(other)}
        if other != separator and set(REQUIRED) <= parts:
            remedy = "Rename it to .tsv" if other == "\t" else f"Save it separated by {_SEPARATORS[separator]}"
            raise DataError(f"{path}: fields separated by {other!r} ({word}); expected {_SEPARATORS[separator]}. {remedy}")
    if any("/" in name or Path(name).suffix[1:].isalpha() for name in names if name):
        raise DataError(
            f"{path}: row 1 is {','.join(names)}; expected a header path,label[,patient][,split]. Add one as the first row"
        )


def _parquet(path: Path) -> tuple[pd.DataFrame, list[int]]:
    try:
        table = pd.read_parquet(path)
    except Exception as error:  # pyarrow raises its own kinds on a damaged file
        raise DataError(f"{path}: cannot be read as a table ({error}); expected Parquet. Export it again") from None
    table = table.rename(columns=str)
    if table.empty:
        raise DataError(f"{path}: no rows; expected one for each image. Add path and label of the images")
    known = [name for name in (*REQUIRED, *OPTIONAL) if name in table.columns and list(table.columns).count(name) == 1]
    return table.assign(**{name: _as_text(path, table[name]) for name in known}), list(range(2, len(table) + 2))


def _as_text(path: Path, column: pd.Series) -> list[str]:
    if any(isinstance(value, (list, tuple, dict, bytes)) or (hasattr(value, "shape") and value.shape) for value in column):
        raise DataError(
            f"{path}: column {column.name} contains lists or structures; expected one word or number in each row. Flatten it"
        )
    missing = column.isna()
    whole = pd.api.types.is_float_dtype(column.dtype) and (column[~missing] % 1 == 0).all()
    return ["" if gone else str(int(value) if whole else value).strip() for value, gone in zip(column, missing, strict=True)]


def _without_blank_columns(path: Path, table: pd.DataFrame, rows: Sequence[int]) -> tuple[pd.DataFrame, list[str]]:
    blank = table == ""
    if blank["label"].all():
        raise DataError(f"{path}: every label is blank; expected the class of some images at least. Fill in the column")
    empty = [name for name in OPTIONAL if name in table.columns and blank[name].all()]
    table, blank = table.drop(columns=empty), blank.drop(columns=empty)
    if "split" in blank.columns:
        blank["split"] &= ~blank["label"]
    needed = [name for name in table.columns if name not in MAY_BE_BLANK]
    partly = {name: [rows[i] for i in blank.index[blank[name]]] for name in needed if blank[name].any()}
    if partly:
        n_rows = len({row for found in partly.values() for row in found})
        described = "; ".join(f"{name} in {describe_rows(found)}" for name, found in partly.items())
        raise DataError(f"{path}: {n_rows} rows with a blank field: {described}; expected none. Fill in or remove them")
    return table, [f"column {name} is blank in every row and not used" for name in empty]


def _located(table: Path, text: str, row: int) -> Path:
    if "://" in text:
        raise DataError(f"{table}: row {row} has the address {text}; expected a path. Download the files, and give their paths")
    found = existing(table.parent / Path(text).expanduser())
    if "\\" in text and not found.exists() and existing(table.parent / text.replace("\\", "/")).exists():
        raise DataError(f"{table}: row {row} has {text}, with backslashes; expected / between folders. Replace them")
    return found


def _check_repeats(path: Path, table: pd.DataFrame, rows: Sequence[int]) -> None:
    frames = table["frame"] if "frame" in table.columns else [""] * len(table)
    keys = [(str(_resolved(name)), frame) for name, frame in zip(table["path"], frames, strict=True)]
    places: dict[tuple[str, str], list[int]] = {}
    for i, key in enumerate(keys):
        places.setdefault(key, []).append(i)
    repeated = [several for several in places.values() if len(several) > 1]
    if not repeated:
        return
    extra = sum(len(several) - 1 for several in repeated)
    labels = {table["label"].iloc[i] for i in repeated[0]}
    shown = f"{printable(table['path'].iloc[repeated[0][0]])} in {describe_rows([rows[i] for i in repeated[0]])}"
    differing = f" with labels {' and '.join(sorted(labels))}" if len(labels) > 1 else ""
    raise DataError(
        f"{path}: {extra} rows repeat a file, such as {shown}{differing}; expected each file once, with one label. Remove the "
        "repeats"
    )


def _resolved(name: str) -> Path:
    try:
        return Path(name).resolve()
    except (OSError, RuntimeError):  # a loop of links: reading it gives the reason
        return Path(name)


def path_column(paths: Iterable[str | Path], index: pd.Index | None = None) -> pd.Series:
    """Paths as a column of a table; pandas' own type of text takes none that are no UTF-8."""
    return pd.Series([str(path) for path in paths], index=index, dtype=object)


def check_files(table: pd.DataFrame, source: str) -> None:
    """Raise DataError naming the files of ``table`` that are not there, by their whole paths."""
    missing = [path for path in table["path"] if not Path(path).is_file()]
    if not missing:
        return
    more = f"\n… and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    shown = "\n".join(
        f"{printable(path)}: {'is a folder' if Path(path).is_dir() else 'no such file'}" for path in missing[:_SHOWN]
    )
    raise DataError(
        f"{source}: {len(missing)} of {len(table)} images are not there; expected all. Correct the paths, which are relative "
        "to the "
        f"table's folder, or remove the rows:\n{shown}{more}"
    )
