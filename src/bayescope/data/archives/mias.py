"""mini-MIAS: ``Info.txt`` and the films ``mdb001.pgm`` to ``mdb322.pgm``, or the same as PNG.

Films 2k-1 and 2k are the two breasts of one patient, in mediolateral oblique view.  A line of the table names a film, its
tissue, the class of a finding, its severity, and the centre and radius of a circle around it, counted from the left and from
the *bottom* of the film; a film with several findings has several lines.  Suckling et al., Excerpta Medica ICS 1069:375 (1994).
The licence permits research only.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayescope.data.archives.base import BOX, Archive, choose_copy, find_table, finish
from bayescope.data.filesystem.class_folders import is_image
from bayescope.data.filesystem.walk import walk
from bayescope.data.splits import FOLDS, Split
from bayescope.errors import ConfigError, DataError

TASKS = ("normal/abnormal", "benign/malignant", "benign/malignant-roi")
SIDE = 1024
REGION = 128
_MARGIN = 1.25
_TABLE = "Info.txt"
_LINE = re.compile(
    r"(?P<film>mdb\d{3})\s+(?P<tissue>[FGD])\s+(?P<kind>[A-Z]{4})(?:\s+(?P<severity>[BM])(?:\s+(?P<circle>\d+\s+\d+\s+\d+))?)?"
    r"(?:\s+\*NOTE.*)?\s*",
)
_SEVERITIES = {"M": "malignant", "B": "benign", None: "normal"}
_ORDER = ("malignant", "benign", "normal")


def read_mias(source: Path, task: str = TASKS[0], split: Split = FOLDS) -> Archive:
    """The films, or the regions around findings, of the mini-MIAS database.

    Parameters
    ----------
    source : Path
        Folder with ``Info.txt`` and the films anywhere in it, found by name.
    task : str, default "normal/abnormal"
        "normal/abnormal" or "benign/malignant": whole films by their most severe finding, normal ones left out of the second;
        "benign/malignant-roi": the square around each finding, of 128 pixels or 1.25 times its circle's diameter.
    split : Split, default 5 folds
        Folds, drawn by patient; there is no official split.

    Returns
    -------
    Archive
        The case table, with the box of all findings of a film, or of the square.

    Raises
    ------
    ConfigError
        For another task or split.
    DataError
        If ``Info.txt`` is missing or has a line that is not understood, or no film is found.
    """
    if task not in TASKS:
        raise ConfigError(f"task {task!r}; expected one of {', '.join(TASKS)}. Choose one of these")
    if split.scheme != "folds":
        raise ConfigError(f"split {split.scheme!r}; expected folds, as mini-MIAS has no official split. Give --split folds")
    found = walk(source.resolve())
    findings, regions = _read_findings(found.files), task.endswith("-roi")
    table = _regions(findings) if regions else _films(findings, task)
    copies: defaultdict[str, list[Path]] = defaultdict(list)
    for path in filter(is_image, found.files):
        copies[path.stem.lower()].append(path)
    located = pd.DataFrame([choose_copy(copies[film]) for film in table["film"]], table.index, dtype=object)
    table["path"], table["left_out"] = located[0], table["left_out"].where(table["left_out"].notna(), located[1])
    table = table.assign(patient=((table["film"].str[3:].astype(int) + 1) // 2).astype(str), side=None, view="MLO", split=None)
    notes = (
        "sides are left blank: Info.txt calls films of even number left, and markers on the films say otherwise",
        "research use only, by the archive's licence",
    )
    return finish("mini-MIAS", task, "findings" if regions else "films", table, split, notes, found)


def _read_findings(files: Sequence[Path]) -> pd.DataFrame:
    """One row for each line of the table: film, label, lesion, and the circle, NaN where it is not given."""
    path = find_table(files, _TABLE)
    if path is None:
        raise DataError(f"{_TABLE}: no such file; expected it in the folder of the archive. Put the official table there")
    lines = [line.strip() for line in path.read_text(encoding="latin-1").splitlines()]
    rows = [_finding(line) for line in lines if re.match(r"mdb\d", line)]
    if not rows:
        raise DataError(f"{_TABLE}: no line of a film; expected lines such as 'mdb001 G CIRC B 535 425 197'. Download it again")
    return pd.DataFrame(rows)


def _finding(line: str) -> dict[str, Any]:
    match = _LINE.fullmatch(line)
    if match is None or (match["kind"] == "NORM") != (match["severity"] is None):
        raise DataError(f"{_TABLE}: line {line!r}; expected one such as 'mdb001 G CIRC B 535 425 197'. Download it again")
    x, y, radius = map(float, match["circle"].split()) if match["circle"] else (np.nan,) * 3
    return {
        "film": match["film"],
        "label": _SEVERITIES[match["severity"]],
        "lesion": None if match["kind"] == "NORM" else match["kind"],
        "column": x,
        "row": SIDE - 1 - y,
        "radius": radius,
    }


def _films(findings: pd.DataFrame, task: str) -> pd.DataFrame:
    """One row for each film, with its most severe label and the box around the circles of all its findings."""
    circles = pd.DataFrame(
        {
            "x_min": findings["column"] - findings["radius"],
            "y_min": findings["row"] - findings["radius"],
            "x_max": findings["column"] + findings["radius"] + 1,
            "y_max": findings["row"] + findings["radius"] + 1,
        }
    ).clip(0, SIDE)
    films = pd.concat([findings, circles], axis=1).groupby("film", sort=True)
    table = films.agg(
        label=("label", lambda labels: min(labels, key=_ORDER.index)),
        lesion=("lesion", lambda names: ", ".join(sorted(set(names.dropna()))) or None),
        **{end: (end, end[2:]) for end in BOX},
    ).reset_index()
    table = table.assign(kind="full", left_out=None)
    if task == TASKS[0]:
        return table.assign(label=table["label"].where(table["label"] == "normal", "abnormal"))
    normal = table["label"] == "normal"
    return table.assign(label=table["label"].mask(normal, None), left_out=_where(normal, "normal film"))


def _where(chosen: pd.Series, reason: str) -> pd.Series:
    return pd.Series([reason if found else None for found in chosen], chosen.index, dtype="object")


def _regions(findings: pd.DataFrame) -> pd.DataFrame:
    """One row for each finding, with the square to cut out, moved inside the film."""
    table = findings[findings["label"] != "normal"].reset_index(drop=True)
    side = np.ceil((2 * _MARGIN * table["radius"]).clip(REGION, SIDE))
    left = (table["column"] - side / 2).round().clip(0, SIDE - side)
    top = (table["row"] - side / 2).round().clip(0, SIDE - side)
    box = dict(zip(BOX, (left, top, left + side, top + side), strict=True))
    without = table["radius"].isna()
    return table.assign(
        kind="roi",
        label=table["label"].mask(without, None),
        left_out=_where(without, "place of the finding not given"),
        **box,
    )
