"""What a command prints is what one call in Python returns."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bayescope.data.dataset import Dataset
from bayescope.errors import ConfigError, DataError
from bayescope.evaluation.evaluate import evaluate_run
from bayescope.evaluation.selection import seen_splits
from bayescope.inference.likelihood import exact_likelihood
from bayescope.inference.read import read_for_model
from bayescope.json_values import finite
from bayescope.runs.folder import read_record
from bayescope.runs.model_file import load_model


@pytest.fixture
def folder(tiny_data: Dataset, tmp_path: Path) -> Path:
    """Two unseen images, one of the training images, and a file that is none."""
    folder = tmp_path / "images"
    folder.mkdir()
    stacks = {"a.png": tiny_data.test.pixels[0], "b.png": tiny_data.test.pixels[1], "seen.png": tiny_data.train.pixels[0]}
    for name, pixels in stacks.items():
        Image.fromarray(pixels[0]).save(folder / name)
    (folder / "bad.png").write_bytes(b"no image")
    return folder


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
def test_evaluate(cli: Any, tiny_run: Path, tiny_npz: Path) -> None:
    options = ("--split", "val", "--prevalence", "0.3,0.7", "--disagreement-rate", 0, "--positive", "upper")
    printed = json.loads(cli("evaluate", tiny_run, tiny_npz, "--json", *options).out)
    warnings: list[str] = []
    stages: list[tuple[str, int]] = []

    def progress(stage: str, total: int) -> Callable[[int], None]:
        return lambda done: stages.append((stage, done))

    found, chosen = evaluate_run(
        tiny_run,
        tiny_npz,
        split="val",
        class_prior={"lower": 0.7, "upper": 0.3},
        disagreement_rate=0.0,
        positive="upper",
        warned=warnings.extend,
        progress=progress,
    )
    expected = finite(found.to_dict(chosen))
    assert printed.keys() == expected.keys()
    for key, value in printed.items():
        assert value == expected[key], key
    assert (chosen.seen, len(found.images)) == (True, 30)
    assert sum(done for stage, done in stages if stage == "scoring images") == 30
    assert tuple(warnings) == chosen.warnings != ()


@pytest.mark.slow
def test_evaluate_passes_the_budget_on(cli: Any, tiny_run: Path, tiny_npz: Path) -> None:
    printed = json.loads(cli("evaluate", tiny_run, tiny_npz, "--json", "--max-passes", 2).out)
    found, chosen = evaluate_run(tiny_run, tiny_npz, max_passes=2)
    assert finite(found.to_dict(chosen)) == printed
    assert found.predictions.passes.max() == 2


@pytest.mark.parametrize("wrong", [{"positive": "left"}, {"split": "none"}, {"class_prior": [0.5, 0.6]}])
def test_evaluate_refuses_the_impossible(tiny_run: Path, tiny_npz: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        evaluate_run(tiny_run, tiny_npz, **wrong)


def test_evaluate_stops_before_scoring_if_a_warning_is_refused(tiny_run: Path, tiny_npz: Path) -> None:
    def refuse(warnings: Sequence[str]) -> None:
        raise DataError(warnings[0])

    def progress(stage: str, total: int) -> Callable[[int], None]:
        assert stage != "scoring images"
        return lambda done: None

    with pytest.raises(DataError, match="classes without names"):
        evaluate_run(tiny_run, tiny_npz, warned=refuse, progress=progress)


def test_classify(cli: Any, tiny_run: Path, folder: Path) -> None:
    printed = lines(cli("classify", tiny_run, folder, "--json", "--prevalence", "0.3,0.7").out)
    model, record = load_model(tiny_run), read_record(tiny_run)
    images = read_for_model(model, [folder])
    predictions = model.classify(images.pixels, [0.3, 0.7], trust_tests=True)
    records = predictions.records(model, images.names, images.remarks, seen_splits(record, images.pixels))
    assert printed == [finite(line) for line in (*records, *images.left_out_records())]
    assert [line.get("seen") for line in printed] == [None, None, "train", None, None]
    assert ["error" in line for line in printed] == [False, False, False, True, False]


def test_records_of_predictions_alone(tiny_run: Path, tiny_data: Dataset) -> None:
    model = load_model(tiny_run)
    (record,) = model.classify(tiny_data.test.pixels[:1]).records(model, ["a"])
    assert (record["image"], record["class"], record["seen"]) == ("a", "upper", None)
    assert record["warnings"] == [model.calibration.warning]
    assert json.loads(json.dumps(record)) == record


def test_likelihood(cli: Any, tiny_run: Path, folder: Path) -> None:
    options = ("--solver", "heun", "--steps", 4, "--probes", 2, "--trace", "gaussian")
    printed = lines(cli("likelihood", tiny_run, folder, "--json", *options).out)
    model = load_model(tiny_run)
    images = read_for_model(model, [folder])
    settings: dict[str, Any] = {"solver": "heun", "steps": 4, "probes": 2, "trace": "gaussian", "tolerance": None}
    found = exact_likelihood(model, images.pixels, step=images.gray_level_steps, **settings)
    records = found.records(model, images.names, images.remarks)
    assert printed == [finite(line) for line in (*records, *images.left_out_records())]
    assert (found.passes == found.passes[0]).all()
    assert not np.isnan(found.standard_error).any()


def test_likelihood_refuses_an_unknown_setting(tiny_run: Path, tiny_data: Dataset) -> None:
    with pytest.raises(ConfigError, match=r"flow\.stride"):
        exact_likelihood(load_model(tiny_run), tiny_data.test.pixels[:1], stride=3)
