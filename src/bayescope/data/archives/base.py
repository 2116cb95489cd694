"""Shared by the readers of mammography archives: files of an archive, the case table, and its summary.

The case table has the columns ``COLUMNS``, one row for each image.  ``path`` is absolute; ``label`` the class name; ``side``
L or R; ``view`` CC, MLO, ...; ``split`` train, val or test; ``lesion`` what is to be seen, in the archive's words, or None;
``kind`` full (a whole mammogram) or roi (a lesion cut out).  The box, in pixels of the file, is the smallest around all
findings of the image, NaN where there is none; of a ``roi`` it is the region still to be cut out of the file.  ``frame`` is
the number of a frame in its file, from 0, NaN for a file of one.  A column ``study`` is there where the archive names studies.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import pandas as pd

from bayescope.data.filesystem.class_folders import is_image
from bayescope.data.filesystem.file_summary import FileSummary
from bayescope.data.filesystem.walk import LeftOut, Walk
from bayescope.data.formats import dicom
from bayescope.data.labelled import SPLITS
from bayescope.data.splits import Split, divide
from bayescope.data.tables.case_table import path_column
from bayescope.data.tables.class_names import sort_class_names
from bayescope.errors import ConfigError, DataError

BOX = ("x_min", "y_min", "x_max", "y_max")
COLUMNS = ("path", "label", "patient", "side", "view", "split", "lesion", "kind", "frame", *BOX)


@dataclass(frozen=True)
class Summary:
    """What was found, what was used, what was left out and why: ``found`` is ``used`` plus all of ``left_out``.

    ``left_out`` counts by reason, ``counts`` by split and label, ``patients`` by split; ``unit`` is what is counted.
    ``files``: what was found in the folder; empty if a table named the images.
    """

    archive: str
    task: str
    split: str
    unit: str
    found: int
    used: int
    left_out: dict[str, int]
    counts: dict[str, dict[str, int]]
    patients: dict[str, int]
    notes: tuple[str, ...]
    files: FileSummary = field(default_factory=FileSummary)

    def of_used(self, cases: pd.DataFrame) -> Self:
        """The same with ``cases`` as those used."""
        labels = sort_class_names(cases["label"])
        by_split = {name: cases[cases["split"] == name] for name in SPLITS}
        return replace(
            self,
            used=len(cases),
            counts={name: {label: int((rows["label"] == label).sum()) for label in labels} for name, rows in by_split.items()},
            patients={name: int(rows["patient"].nunique()) for name, rows in by_split.items()},
        )

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON values."""
        return asdict(self) | {"notes": list(self.notes), "files": self.files.to_dict()}

    def __str__(self) -> str:
        lines = [
            f"{self.archive}, task {self.task}, split {self.split}",
            f"found {self.found} {self.unit}, used {self.used}, left out {self.found - self.used}",
        ]
        lines += [f"  left out {n}: {reason}" for reason, n in self.left_out.items()]
        lines += [str(self.files)] if self.files.found and self.unit != "files" else []
        for name, n_patients in self.patients.items():
            labels = ", ".join(f"{n} {label}" for label, n in self.counts[name].items())
            lines.append(f"  {name}: {labels}; {n_patients} patients")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


@dataclass(frozen=True)
class Archive:
    """The case table, the account of how it came about, and ``warnings`` of what may be wrong with it."""

    cases: pd.DataFrame
    summary: Summary
    warnings: tuple[str, ...] = ()


def choose_copy(files: Collection[Path]) -> tuple[Path | None, str | None]:
    """The file to read among copies of one image, DICOM before others, or else the reason why there is none."""
    whole = [path for path in files if path.stat().st_size]
    if not whole:
        return None, "file is empty" if files else "file not found"
    return min(whole, key=lambda path: (not dicom.is_dicom(path), path)), None


def find_table(files: Sequence[Path], name: str) -> Path | None:
    """The file of this name, in upper or lower case; None if there is none.  DataError if there are several that differ."""
    found = [path for path in files if path.name.lower() == name.lower()]
    if len({path.read_bytes() for path in found}) > 1:
        raise DataError(f"{name}: {len(found)} files that differ; expected one. Remove those that are not the official one")
    return found[0] if found else None


def read_rows(path: Path, columns: Collection[str], separator: str = ",") -> pd.DataFrame:
    """A CSV file as text, header and fields stripped of blanks and newlines.  DataError if a column is missing."""
    try:
        table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except Exception as error:
        reason = str(error).replace(str(path), path.name)
        raise DataError(f"{path.name}: cannot be read as a table ({reason}); expected CSV. Download it again") from None
    return clean_rows(table, columns, path.name)


def clean_rows(table: pd.DataFrame, columns: Collection[str], name: str) -> pd.DataFrame:
    """``table`` as stripped text, blank where empty.  DataError if a column is missing."""
    table = table.fillna("").astype(str).rename(columns=lambda column: str(column).strip())
    if missing := sorted(set(columns) - set(table.columns)):
        raise DataError(f"{name}: no column {', '.join(missing)}; expected the archive's own table. Download it again")
    return table.apply(lambda column: column.str.strip())


def birads_groups(task: str, highest: int) -> dict[str, str]:
    """Class name of each BI-RADS category in a grouping such as ``1-3/4-6``; categories outside all groups are not keys.

    Raises ConfigError unless there are two groups or more, apart, within 1 to ``highest``.
    """
    classes: dict[str, str] = {}
    parts = task.split("/")
    for part in parts:
        ends = [int(end) for end in part.split("-")] if re.fullmatch(r"\d(-\d)?", part) else [0]
        members = {str(category) for category in range(ends[0], ends[-1] + 1)}
        if len(parts) < 2 or not members or ends[0] < 1 or ends[-1] > highest or members & classes.keys():
            raise ConfigError(
                f"task {task!r}; expected BI-RADS groups apart from each other, within 1 to {highest}, "
                f"such as 1-3/4-{highest}. Group them so"
            )
        classes |= dict.fromkeys(members, f"BI-RADS {part}")
    return classes


def finish(
    archive: str, task: str, unit: str, table: pd.DataFrame, split: Split, notes: Sequence[str], found: Walk | None = None
) -> Archive:
    """Draw the splits, drop the rows left out, count; ``found``: all that is in the archive's folder.

    ``table`` has ``COLUMNS`` and ``left_out``, the reason or None; ``split`` in it is the official one, train or test, and not
    read where folds are drawn; ``label`` is None where the task has no class for the case.  Raises DataError if nothing is
    left or if patients are too few to draw from.
    """
    check_kept(archive, task, table)  # before patients are found to be too few to draw from
    divided = table.assign(split=divide(table[table["label"].notna()], split, archive))
    files = FileSummary() if found is None else _files_used(found, divided.loc[divided["left_out"].isna(), "path"])
    return account(archive, task, unit, divided, str(split), notes, files)


def check_kept(archive: str, task: str, table: pd.DataFrame) -> pd.Series:
    """Which rows are not left out.  Raises DataError if none is kept."""
    kept = table["left_out"].isna()
    if not kept.any():
        why = "; ".join(f"{n} {reason}" for reason, n in table["left_out"].value_counts().items())
        raise DataError(
            f"{archive}: no image for task {task} ({why or 'no rows'}); expected some. Check the folder and the task"
        )
    return kept


def _files_used(found: Walk, paths: Iterable[Path]) -> FileSummary:
    used = set(map(Path, paths))
    others = [LeftOut(path, _why_unused(path)) for path in found.files if path not in used]
    return found.account(len(found.files) - len(others), others)


def _why_unused(path: Path) -> str:
    return "image that the task does not use" if is_image(path) else "table, or no image"


def account(
    archive: str, task: str, unit: str, table: pd.DataFrame, split: str, notes: Sequence[str], files: FileSummary | None = None
) -> Archive:
    """Drop the rows left out and count; ``table`` as for :func:`finish`, in its final split, which ``split`` describes.

    ``files``: what was found in the folder that the images come from.
    """
    kept = check_kept(archive, task, table)
    columns = [*COLUMNS, *(["study"] if "study" in table else [])]
    cases = table.loc[kept].reindex(columns=columns).reset_index(drop=True)
    cases = cases.astype(dict.fromkeys((*BOX, "frame"), float)).assign(path=path_column(cases["path"]))
    summary = Summary(
        archive=archive,
        task=task,
        split=split,
        unit=unit,
        found=len(table),
        used=0,
        left_out={str(reason): int(n) for reason, n in table["left_out"].value_counts().items()},
        counts={},
        patients={},
        notes=tuple(notes),
        files=files or FileSummary(),
    )
    return Archive(cases, summary.of_used(cases))
