"""Evaluation by patient, breast and study: known by tables, learned in training, measured beside mean and product."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from bayescope.config import Config
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.data.load import load_dataset
from bayescope.errors import ConfigError, DataError
from bayescope.evaluation.folds import Fold, evaluate_folds
from bayescope.evaluation.group_evaluation import GroupEvaluation, evaluate_groups, evaluations_of_groups
from bayescope.evaluation.report.context import Context
from bayescope.evaluation.report.sections.groups import section
from bayescope.fitting.adapt import adapt
from bayescope.fitting.fit import fit_run
from bayescope.runs.model_file import load_model


def written(folder: Path, data: Dataset) -> Path:
    """The images with a table: breasts of two images of one class, patients of two breasts that differ in class."""
    rows = ["path,label,patient,side,study,split"]
    for split in ("train", "val", "test"):
        part: ImageSet = getattr(data, split)
        for i, pixels in enumerate(part.pixels):
            name = f"{split}{i}.png"
            Image.fromarray(pixels[0]).save(folder / name)
            side = "LR"[i % 2]
            rows.append(f"{name},{data.class_names[part.labels[i]]},{split} {i // 4},{side},{split} {i // 4} {side},{split}")
    path = folder / "cases.csv"
    path.write_text("\n".join(rows))
    return path


@pytest.fixture(scope="module")
def table(tiny_data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("grouped"), tiny_data)


@pytest.fixture(scope="module")
def run(table: Path, tiny_config: Config) -> Path:
    fit_run(load_dataset(table), tiny_config, table.parent / "run")
    return table.parent / "run"


def measured(run: Path, table: Path, by: str, positive: str | None = None) -> GroupEvaluation:
    found, chosen = evaluate_folds([Fold(run, table)], disagreement_rate=0.0)
    return evaluate_groups(found, [len(one.images) for one in chosen], by, positive)


def test_training_learns_how_images_depend_on_each_other(run: Path) -> None:
    poolings = {(one.by, one.positive): one for one in load_model(run).post_hoc.poolings}
    assert set(poolings) == {(by, rule) for by in ("patient", "breast", "study") for rule in (None, "upper", "lower")}
    assert poolings["breast", None].groups == poolings["study", None].groups == (7, 7)
    assert poolings["breast", None].fitted
    assert not poolings["patient", None].fitted, "patients whose breasts differ in class are left out"


def test_adapting_learns_it_anew(run: Path, table: Path) -> None:
    found = adapt(load_model(run), load_dataset(table).test).model.post_hoc.poolings
    assert {one.groups for one in found if one.by == "breast" and one.positive is None} == {(10, 10)}


def test_a_site_that_names_no_patients_keeps_what_was_learned(run: Path, table: Path) -> None:
    model = load_model(run)
    site = replace(load_dataset(table).test, groups=None, breasts=None, studies=None)
    assert set(adapt(model, site).model.post_hoc.poolings) == set(model.post_hoc.poolings)


@pytest.mark.slow
def test_breasts_are_measured(run: Path, table: Path) -> None:
    found = measured(run, table, "breast")
    assert found.class_counts == {"lower": 10, "upper": 10}
    assert found.sizes == {2: 20}
    assert set(found.others) == {"mean", "product"}
    record = found.to_dict()
    assert record["rule"] == "all images of a breast show the same class"
    assert record["measures"]["AUC"]["value"] == pytest.approx(found.measures["AUC"].value)
    assert found.measures["AUC"].value == pytest.approx(found.others["mean"]["AUC"].value), "both rank by the sum"


@pytest.mark.slow
def test_patients_need_a_rule(run: Path, table: Path) -> None:
    with pytest.raises(DataError, match="10 of 10 groups by patient have images of different classes"):
        measured(run, table, "patient")
    found = measured(run, table, "patient", "lower")
    assert found.class_counts == {"no lower": 0, "lower": 10}


@pytest.mark.slow
def test_a_report_shows_every_way_to_group(run: Path, table: Path) -> None:
    """Studies are the same images as breasts; patients differ in class, and are shown for the positive class."""
    found, _ = evaluate_folds([Fold(run, table)])
    assert [one.parts[0].pooling.by for one in evaluations_of_groups(found)] == ["breast"]
    asked = replace(found, positive="lower")
    assert [one.parts[0].pooling.positive for one in evaluations_of_groups(asked)] == ["lower", None]
    page = section(asked, cast(Context, None))
    assert page is not None
    assert "By breast" in page
    assert "a patient is lower if any image is" in page
    assert (
        section(replace(found, images=replace(found.images, groups=None, breasts=None, studies=None)), cast(Any, None)) is None
    )


def test_what_is_not_known_is_refused(run: Path, tiny_npz: Path) -> None:
    found, chosen = evaluate_folds([Fold(run, tiny_npz)], split="all")
    with pytest.raises(DataError, match="none with its breast"):
        evaluate_groups(found, [len(chosen[0].images)], "breast")
    with pytest.raises(ConfigError, match="by: found 'film'"):
        evaluate_groups(found, [len(chosen[0].images)], "film")


@pytest.mark.slow
def test_the_command_prints_both(run: Path, table: Path, cli: Callable[..., Any]) -> None:
    told = cli("evaluate", run, table, "--by", "breast")
    assert "By breast: 10 lower, 10 upper; 20 of 2 images" in told.out, told.err
    assert "Rule: all images of a breast show the same class" in told.out
    groups = json.loads(cli("evaluate", run, table, "--by", "patient", "--any", "upper", "--json").out)["groups"]
    assert groups["rule"] == "a patient is upper if any image is"


@pytest.mark.slow
def test_folds_are_pooled_each_by_its_own_model(run: Path, table: Path) -> None:
    """Two folds of the same run, each with half of the images, give what one has for all."""
    found, _ = evaluate_folds([Fold(run, table)], disagreement_rate=0.0)
    whole = evaluate_groups(found, [len(found.images)], "breast")
    double = type(found)(
        (found.models[0], found.models[0]), found.images, found.predictions, found.measures, found.by_class, found.trust, None
    )
    halves = evaluate_groups(double, [20, 20], "breast")
    np.testing.assert_allclose(
        np.concatenate([part.log_likelihood_ratio for part in halves.parts]), whole.parts[0].log_likelihood_ratio
    )
    assert halves.measures["log loss"] == whole.measures["log loss"]
