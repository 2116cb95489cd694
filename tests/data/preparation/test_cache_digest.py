"""A cache is taken for the same only if cases and preparation are; what it gives back is in the order of its case table."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bayescope.data.archives.base import COLUMNS, Archive
from bayescope.data.archives.image_folder import read_image_folder
from bayescope.data.preparation import cache
from bayescope.data.preparation.mammogram import Preparation
from bayescope.data.preparation.prepare import prepare
from bayescope.errors import RunError

PREPARATION = Preparation(8, crop=False, orient=False)
OTHER_PREPARATIONS: dict[str, Any] = {
    "size": 9,
    "crop": True,
    "orient": True,
    "clahe": True,
    "clahe_clip": 0.02,
    "low_percentile": 0.2,
    "high_percentile": 99.8,
    "window": 1,
}
OTHER_CASES: dict[str, Any] = {
    "path": "elsewhere.png",
    "label": "grade 2",
    "patient": "another",
    "side": "R",
    "view": "MLO",
    "split": "test",
    "lesion": "mass",
    "kind": "roi",
    "frame": 1,
    "x_min": 1.0,
    "y_min": 1.0,
    "x_max": 6.0,
    "y_max": 6.0,
}
LABELS = ("grade 10", "grade 2", "grade 1")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images as bright as their number is high; neither splits nor classes stand together, or in the order of their names."""
    folder = tmp_path_factory.mktemp("source")
    rows = ["path,label,patient,split"]
    for i in range(12):
        image = np.zeros((8, 8), np.uint8)
        image[0, : i + 1 if i < 8 else 8] = 200
        image[1, : max(0, i - 7)] = 200
        Image.fromarray(image).save(folder / f"{i}.png")
        rows.append(f"{i}.png,{LABELS[i % 3]},patient {i},{('test', 'train', 'val', 'train')[i % 4]}")
    (folder / "cases.csv").write_text("\n".join(rows))
    return folder


@pytest.fixture(scope="module")
def archive(source: Path) -> Archive:
    return read_image_folder(source / "cases.csv")


def filled(archive: Archive, source: Path, out: Path) -> Path:
    prepare(archive, PREPARATION, out, source, workers=1)
    return out


@pytest.fixture(scope="module")
def prepared(archive: Archive, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(archive, source, tmp_path_factory.mktemp("prepared") / "cache")


def with_case(archive: Archive, column: str, change: Callable[[Any], Any]) -> Archive:
    """The same with another value in the ``column`` of its last case."""
    cases = archive.cases.astype(object)
    cases.iloc[-1, cases.columns.get_loc(column)] = change(cases.iloc[-1][column])
    return replace(archive, cases=cases)


def test_every_field_of_a_preparation_and_every_column_of_the_cases_has_another_value_here() -> None:
    assert {field.name for field in fields(Preparation)} == OTHER_PREPARATIONS.keys()
    assert set(COLUMNS) == OTHER_CASES.keys()


@pytest.mark.parametrize("name", OTHER_PREPARATIONS)
def test_another_preparation_is_another_cache(name: str, archive: Archive, source: Path, prepared: Path) -> None:
    other = replace(PREPARATION, **{name: OTHER_PREPARATIONS[name]})
    assert prepare(archive, PREPARATION, prepared, source).unchanged
    with pytest.raises(RunError, match="in another way"):
        prepare(archive, other, prepared, source)


@pytest.mark.parametrize("column", OTHER_CASES)
def test_another_case_is_another_cache(column: str, archive: Archive, source: Path, prepared: Path) -> None:
    same = with_case(archive, column, lambda value: value)
    assert prepare(same, PREPARATION, prepared, source).unchanged
    with pytest.raises(RunError, match="from other files"):
        prepare(with_case(archive, column, lambda value: OTHER_CASES[column]), PREPARATION, prepared, source)


def test_labels_splits_patients_and_pixels_of_a_cache_belong_together(archive: Archive, prepared: Path) -> None:
    found, table = cache.read_cache(prepared), pd.read_parquet(prepared / cache.CASES)
    assert found.images.class_names == ("grade 1", "grade 2", "grade 10")
    numbers = [int(name.removesuffix(".png")) for name in found.images.names]
    assert sorted(numbers) == list(range(12))
    assert numbers != sorted(numbers)
    bright = (np.asarray(found.images.pixels) > 0).sum(axis=(1, 2, 3))
    assert bright.tolist() == [i + 1 for i in numbers]
    for rows in (table.to_dict("records"), archive.cases.to_dict("records")):
        told = {int(Path(row["path"]).stem): (row["label"], row["split"], row["patient"]) for row in rows}
        names = [found.images.class_names[label] for label in found.images.labels]
        assert found.images.groups is not None
        assert found.split is not None
        assert [told[i] for i in numbers] == list(zip(names, found.split.tolist(), found.images.groups, strict=True))
