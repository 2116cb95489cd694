"""VinDr-Mammo: ``breast-level_annotations.csv``, ``finding_annotations.csv`` and ``images/<study_id>/<image_id>.dicom``.

Patients are not named; a study, the four views of one examination, stands for one.  Labels are BI-RADS categories of the
breast, given on double reading, not biopsies.  Nguyen et al., Sci Data 10:277 (2023).
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bayescope.data.archives.base import BOX, Archive, birads_groups, choose_copy, find_table, finish, read_rows
from bayescope.data.filesystem.class_folders import is_image
from bayescope.data.filesystem.walk import walk
from bayescope.data.splits import OFFICIAL, Split, settle_official
from bayescope.errors import DataError

TASKS = ("1-3/4-5", "1-2/4-5")
_BREASTS, _FINDINGS = "breast-level_annotations.csv", "finding_annotations.csv"
_BREAST_COLUMNS = ("study_id", "image_id", "laterality", "view_position", "breast_birads", "split")
_BOX_COLUMNS = ["xmin", "ymin", "xmax", "ymax"]
_FINDING_COLUMNS = ("image_id", "height", "width", "finding_categories", *_BOX_COLUMNS)
_SPLITS = {"training": "train", "test": "test"}


def read_vindr(source: Path, task: str = TASKS[0], split: Split = OFFICIAL) -> Archive:
    """The mammograms by BI-RADS group of the breast; ``task`` names the groups, and what is in none is left out.

    Images are found by name, whatever their folder and suffix.  Raises ConfigError for groups that overlap, DataError if the
    breast-level table is missing or unlike the official one, or no image is found.
    """
    classes = birads_groups(task, highest=5)
    found = walk(source.resolve())
    files = found.files
    table = _read_breasts(files)
    table["split"], leaks = settle_official(table["split"], table["patient"], split.scheme)
    findings, notes = _read_findings(files)
    copies: defaultdict[str, list[Path]] = defaultdict(list)
    for path in filter(is_image, files):
        copies[path.name.partition(".")[0].lower()].append(path)
    located = [choose_copy(copies[image]) for image in table["image"]]
    category = table["birads"].str.extract(r"(\d)$", expand=False)
    unlabelled = ~category.isin(classes)
    table["label"] = category.map(classes).astype(object).mask(unlabelled, None)
    table[["path", "left_out"]] = pd.DataFrame(located, table.index, dtype=object)
    given = table["birads"].replace("", "BI-RADS not given")
    table["left_out"] = table["left_out"].mask(unlabelled, given + ", in no group of the task")
    table = table.join(findings, on="image").assign(kind="full")
    about = ("labels are BI-RADS categories given on reading, not biopsies", "a study stands for a patient")
    return finish("VinDr-Mammo", task, "images", table, split, [*about, *leaks, *notes], found)


def _read_breasts(files: Sequence[Path]) -> pd.DataFrame:
    path = find_table(files, _BREASTS)
    if path is None:
        raise DataError(f"{_BREASTS}: no such file; expected it in the folder of the archive. Put the official table there")
    rows = read_rows(path, _BREAST_COLUMNS)
    if unknown := sorted(set(rows["split"]) - set(_SPLITS)):
        raise DataError(f"{_BREASTS}: splits {unknown}; expected training and test. Put the official table there")
    return pd.DataFrame(
        {
            "image": rows["image_id"].str.lower(),
            "patient": rows["study_id"],
            "side": rows["laterality"],
            "view": rows["view_position"],
            "birads": rows["breast_birads"],
            "split": rows["split"].map(_SPLITS),
        }
    )


def _read_findings(files: Sequence[Path]) -> tuple[pd.DataFrame, list[str]]:
    """For each image with a finding, the box around all, clipped to the image, and the categories; notes on the boxes."""
    path = find_table(files, _FINDINGS)
    if path is None:
        return pd.DataFrame(columns=["lesion", *BOX]), [f"{_FINDINGS} not found: no boxes"]
    rows = read_rows(path, _FINDING_COLUMNS)
    given = rows[_BOX_COLUMNS].apply(pd.to_numeric, errors="coerce").set_axis(list(BOX), axis="columns")
    size = rows[["width", "height", "width", "height"]].apply(pd.to_numeric, errors="coerce").to_numpy()
    boxes = given.clip(lower=0).clip(upper=pd.DataFrame(size, columns=given.columns))
    outside = (boxes["x_min"] >= boxes["x_max"]) | (boxes["y_min"] >= boxes["y_max"])
    n_clipped = int(((boxes != given) & given.notna()).any(axis="columns").sum())
    notes = [f"boxes clipped to the image: {n_clipped}"] if n_clipped else []
    if outside.any():
        notes.append(f"boxes outside the image or empty, dropped: {int(outside.sum())}")
    boxes = boxes.mask(outside, np.nan)
    categories = rows["finding_categories"].str.findall(r"['\"]([^'\"]+)['\"]")
    by_image = boxes.assign(categories=categories).groupby(rows["image_id"].str.lower())
    return by_image.agg(
        **{end: (end, end[2:]) for end in BOX},
        lesion=("categories", lambda names: ", ".join(sorted({n for row in names for n in row} - {"No Finding"})) or None),
    ), notes
