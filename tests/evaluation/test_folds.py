"""Cross-validation: two runs on folds of one table, measured together."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from bayescope.config import Config
from bayescope.data.load import load_dataset
from bayescope.errors import ConfigError, DataError
from bayescope.evaluation.evaluate import evaluate_run
from bayescope.evaluation.folds import Fold, evaluate_folds
from bayescope.fitting.fit import fit_run
from bayescope.json_values import finite
from bayescope.runs.model_file import load_model
from conftest import Call, stripes

pytestmark = pytest.mark.slow

PARTS = {0: ("test", "train", "train", "val"), 1: ("train", "test", "val", "train")}


@pytest.fixture(scope="module")
def folds(tiny_config: Config, tmp_path_factory: pytest.TempPathFactory) -> list[Fold]:
    """Forty-eight patients of two images each; every seventh image has the other label."""
    folder = tmp_path_factory.mktemp("folds")
    images, found = stripes(96, 5), []
    labels = np.where(np.arange(96) % 7 == 0, 1 - images.labels, images.labels)
    for i, pixels in enumerate(images.pixels):
        Image.fromarray(pixels[0]).save(folder / f"{i}.png")
    for k, parts in PARTS.items():
        rows = ["path,label,patient,split"]
        for i, label in enumerate(labels):
            rows.append(f"{i}.png,{images.class_names[label]},p{i // 2},{parts[i // 2 % 4]}")
        (folder / f"fold{k}.csv").write_text("\n".join(rows))
        fit_run(load_dataset(folder / f"fold{k}.csv"), tiny_config, folder / f"run{k}", data_path=folder / f"fold{k}.csv")
        found.append(Fold.of(folder / f"run{k}"))
    return found


def test_predictions_are_each_folds_own_at_one_prior(folds: list[Fold]) -> None:
    found, chosen = evaluate_folds(folds, disagreement_rate=0.0)
    models = [load_model(fold.run) for fold in folds]
    prior = np.mean([model.class_prior for model in models], axis=0)
    assert found.predictions.class_prior == pytest.approx(prior)
    expected, labels, names = [], [], []
    for fold, model in zip(folds, models, strict=True):
        test = load_dataset(fold.data).test
        expected.append(model.classify(test.pixels, prior, 0.0).posterior)
        labels.append(test.labels)
        names += test.names
    assert found.predictions.posterior == pytest.approx(np.concatenate(expected))
    assert found.images.names == tuple(names)
    truth = np.concatenate(labels)
    assert found.measures["AUC"].value == pytest.approx(roc_auc_score(truth, found.predictions.posterior[:, 1]))
    assert found.calibration_images == {
        name: sum(model.calibration.images[k] for model in models) for k, name in enumerate(models[0].class_names)
    }
    assert [len(one.images) for one in chosen] == [len(part) for part in labels]
    assert len(set(found.images.groups)) == len(truth) / 2


def test_one_fold_is_an_ordinary_evaluation(folds: list[Fold]) -> None:
    pooled, chosen = evaluate_folds(folds[:1])
    single, one = evaluate_run(folds[0].run, folds[0].data)
    assert json.dumps(pooled.to_dict(*chosen)) == json.dumps(single.to_dict(one))


def test_an_image_is_measured_in_one_fold(folds: list[Fold]) -> None:
    with pytest.raises(DataError, match="a test image of two folds"):
        evaluate_folds([folds[0], folds[0]])


def test_runs_of_other_classes_are_refused(folds: list[Fold], tiny_config: Config, tmp_path: Path) -> None:
    data = load_dataset(folds[1].data)
    renamed = {name: replace(getattr(data, name), class_names=("top", "bottom")) for name in ("train", "val", "test")}
    fit_run(replace(data, **renamed), tiny_config, tmp_path / "run", data_path=folds[1].data)
    with pytest.raises(ConfigError, match="classes top, bottom; expected those of"):
        evaluate_folds([folds[0], Fold.of(tmp_path / "run")])


@pytest.mark.slow
def test_the_command_pools_folds(folds: list[Fold], cli: Call) -> None:
    found, chosen = evaluate_folds(folds, class_prior=[0.2, 0.8])
    words = ("evaluate", folds[0].run, folds[0].data, "--pool", folds[1].run, "--prevalence", "0.2,0.8")
    told = cli(*words, "--json")
    assert told.code == 0, told.err
    assert json.loads(told.out) == finite(found.to_dict(*chosen))
    assert f"of 2 folds: {len(found.images)} images" in " ".join(cli(*words).out.split())
