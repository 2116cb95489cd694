"""Comparison by cross-validation: results of every fold joined, each test image once."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from bayescope.config import Config, dump_toml
from bayescope.data.dataset import Dataset
from bayescope.errors import DataError
from bayescope.evaluation.compare.folds import compare_folds, pooled_data
from bayescope.evaluation.compare.run import compare
from bayescope.evaluation.compare.summary import summarise
from conftest import Call, stripes, write_npz


@pytest.fixture
def folds(tiny_data: Dataset) -> list[Dataset]:
    """Two divisions of 130 images, and labels that cannot all be right."""
    other = replace(tiny_data, train=stripes(50, 4), val=stripes(30, 5), test=stripes(34, 6))

    def noisy(data: Dataset) -> Dataset:
        labels = np.where(np.arange(len(data.test)) % 5 == 0, 1 - data.test.labels, data.test.labels)
        return replace(data, test=replace(data.test, labels=labels))

    return [noisy(tiny_data), noisy(other)]


@pytest.fixture
def short(tiny_config: Config) -> Config:
    return tiny_config.model_copy(update={"training": tiny_config.training.model_copy(update={"steps": 4})})


@pytest.mark.slow
def test_predictions_of_all_folds_are_joined_in_their_order(folds: list[Dataset], short: Config, tmp_path: Path) -> None:
    cells: list[int] = []
    (result,) = compare_folds(folds, short, (), (0,), (1.0,), tmp_path / "both", done=cells.append)
    single = [compare(fold, short, (), (0,), (1.0,), tmp_path / str(k))[0] for k, fold in enumerate(folds)]
    assert result.posterior == single[0].posterior + single[1].posterior
    assert sum(cells) == 2
    assert result.train_images == 55
    row = summarise(pooled_data(folds), short, [result]).rows[0]
    labels = np.concatenate([fold.test.labels for fold in folds])
    assert row.scores.measures["AUC"].value == pytest.approx(roc_auc_score(labels, np.array(result.posterior)[:, 1]))


def test_one_fold_is_an_ordinary_comparison(folds: list[Dataset], short: Config, tmp_path: Path) -> None:
    assert pooled_data(folds[:1]) is folds[0]
    one = compare_folds(folds[:1], short, (), (0,), (1.0,), tmp_path)
    assert compare(folds[0], short, (), (0,), (1.0,), tmp_path) == one


def test_folds_that_do_not_fit_together_are_refused(folds: list[Dataset]) -> None:
    with pytest.raises(DataError, match="a test image of two folds"):
        pooled_data([folds[0], folds[0]])
    names = {split: replace(getattr(folds[1], split), class_names=("top", "bottom")) for split in ("train", "val", "test")}
    with pytest.raises(DataError, match="classes top, bottom; expected those of stripes: upper, lower"):
        pooled_data([folds[0], replace(folds[1], **names)])


def test_the_command_pools_folds(folds: list[Dataset], short: Config, tmp_path: Path, cli: Call) -> None:
    paths = [write_npz(tmp_path / f"{k}.npz", fold) for k, fold in enumerate(folds)]
    (tmp_path / "c.toml").write_text(dump_toml(short))
    words = ("compare", paths[0], "--pool", paths[1], "--out", tmp_path / "out", "--config", tmp_path / "c.toml")
    told = cli(*words, "--networks", "", "--seeds", "0", "--json")
    assert told.code == 0, told.err
    assert json.loads(told.out)["test_images"] == 74
    assert {path.name for path in (tmp_path / "out").glob("fold-*")} == {"fold-0", "fold-1"}
