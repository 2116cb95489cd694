"""Which images belong together: by DICOM headers, by a table, and on the command line."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bayescope.data.archives.image_folder import read_image_folder
from bayescope.data.dataset import Dataset
from bayescope.data.groups import keys_of
from bayescope.data.load import load_dataset
from bayescope.data.preparation.mammogram import Preparation
from bayescope.data.preparation.prepare import prepare
from bayescope.errors import DataError
from bayescope.evaluation.selection import images_of_cache
from bayescope.inference.group_keys import group_keys
from bayescope.inference.read import read_for_model
from bayescope.runs.model_file import load_model
from mammograms import mammogram, write_mammogram


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A patient's two views of the left breast, one of the right; another patient's of no side."""
    folder = tmp_path / "study"
    of = {"PatientID": "P1", "StudyInstanceUID": "1.2.3"}
    write_mammogram(folder / "0.dcm", mammogram(24, 16, seed=0), **of, ImageLaterality="L")
    write_mammogram(folder / "1.dcm", mammogram(24, 16, seed=1), **of, ImageLaterality="", Laterality="L")
    write_mammogram(folder / "2.dcm", mammogram(24, 16, seed=2), **of, ImageLaterality="R")
    write_mammogram(folder / "3.dcm", mammogram(24, 16, seed=3), PatientID="P2", StudyInstanceUID="1.2.4", ImageLaterality="")
    return folder


def test_by_dicom_headers(study: Path, prepared_run: Path) -> None:
    images = read_for_model(load_model(prepared_run), [study])
    assert group_keys(images, "patient") == ("P1", "P1", "P1", "P2")
    assert group_keys(images, "breast") == ("P1 L", "P1 L", "P1 R", "")
    assert group_keys(images, "study") == ("1.2.3", "1.2.3", "1.2.3", "1.2.4")


def test_by_a_table(study: Path, prepared_run: Path, tmp_path: Path) -> None:
    """It goes before the headers; files that it does not list are not known."""
    table = tmp_path / "groups.csv"
    table.write_text("path,patient,side\nstudy/0.dcm,7,left\nstudy/2.dcm,7,left\nstudy/1.dcm,8,\n")
    images = read_for_model(load_model(prepared_run), [study])
    assert group_keys(images, "patient", table) == ("7", "8", "7", "")
    assert group_keys(images, "breast", table) == ("7 left", "", "7 left", "")
    with pytest.raises(DataError, match="none with its study"):
        group_keys(images, "study", table)


@pytest.mark.slow
def test_by_a_cache_of_dicom(tmp_path: Path, prepared_run: Path) -> None:
    """The cache knows patient, breast and study of its files, and does not tell what they are called there."""
    for label in ("ill", "well"):
        for i in range(24):
            of = {"PatientID": f"{label}{i // 2}", "StudyInstanceUID": f"1.2.{len(label)}.{i // 2}"}
            path = tmp_path / "set" / label / f"{i}.dcm"
            write_mammogram(path, mammogram(24, 16, seed=i), **of, ImageLaterality="LR"[i % 2])
    prepare(read_image_folder(tmp_path / "set"), Preparation(8), tmp_path / "cache", tmp_path / "set", workers=1)
    train = load_dataset(tmp_path / "cache").train
    assert train.breasts is not None
    assert (
        len(set(train.breasts))
        == len(train)
        == 2 * len(set(keys_of(train, "study")))
        == 2 * len(set(keys_of(train, "patient")))
    )
    assert not any(known in f"{keys_of(train, 'study')}" for known in ("1.2.3", "1.2.4"))
    test = images_of_cache(load_model(prepared_run), tmp_path / "cache")
    assert len(set(group_keys(test, "study"))) == len(test) / 2


def test_the_command_combines(study: Path, prepared_run: Path, cli: Callable[..., Any]) -> None:
    lines = list(map(json.loads, cli("classify", prepared_run, study, "--by", "breast", "--json").out.splitlines()))
    groups = [line for line in lines if "shares" in line]
    assert [group["breast"] for group in groups] == ["P1 L", "P1 R", None]
    images = {line["image"]: line for line in lines if "image" in line}
    single = groups[1]["images"][0]
    assert groups[1]["log_likelihood_ratio"] == pytest.approx(images[single]["log_likelihood_ratio"])
    for group in groups:
        total = sum(share["ill"] for share in group["shares"].values())
        assert total == pytest.approx(group["log_likelihood_ratio"]["ill"])
    told = cli("classify", prepared_run, study, "--by", "breast", "--csv", study.parent / "groups.csv")
    rows = list(csv.DictReader((study.parent / "groups.csv").open()))
    assert [row["breast"] for row in rows] == ["P1 L", "P1 L", "P1 R", ""]
    assert sum(float(row["share ill"]) for row in rows[:2]) == pytest.approx(float(rows[0]["log_likelihood_ratio ill"]))
    assert "By breast" in told.out
    assert "is the mean of the images'" in told.err


def test_words_that_do_not_go_together(tiny_run: Path, tiny_data: Dataset, tmp_path: Path, cli: Callable[..., Any]) -> None:
    image = tmp_path / "a.png"
    Image.fromarray(tiny_data.test.pixels[0, 0]).save(image)
    assert "--any, --groups without --by" in cli("classify", tiny_run, image, "--any", "upper", "--groups", image).err
    assert "expected one of patient, breast, study" in cli("classify", tiny_run, image, "--by", "film").err
    assert "--any film; expected one of the classes" in cli("classify", tiny_run, image, "--by", "study", "--any", "film").err
    assert "1 images, none with its patient" in cli("classify", tiny_run, image, "--by", "patient").err
