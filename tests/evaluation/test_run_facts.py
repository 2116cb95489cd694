"""What a run knows of its model."""

import json
import shutil
from pathlib import Path

import pytest

from bayescope.evaluation.run_facts import run_facts
from bayescope.runs.files import MEASURES
from bayescope.runs.model_file import load_model, model_fingerprint


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


def test_facts_are_those_of_the_files(run: Path) -> None:
    found = run_facts(run, load_model(run))
    assert found["fingerprint"] == model_fingerprint(run)
    assert found["data"]["images"] == {"train": 60, "val": 30, "test": 40}
    assert found["data"]["source"] == "stripes"
    assert found["training"]["steps"] == 24
    assert found["calibration"]["images"] == {"upper": 15, "lower": 15}
    assert found["measures"] == {}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_measures_are_those_kept_in_the_run(run: Path) -> None:
    kept = {"measures": {"AUC": {"value": 0.9, "low": 0.8, "high": 0.95}}}
    (run / MEASURES).write_text(json.dumps(kept))
    assert run_facts(run, load_model(run))["measures"] == kept


def test_a_run_without_a_record_tells_no_number_of_images(run: Path) -> None:
    (run / "images.parquet").unlink()
    assert run_facts(run, load_model(run))["data"]["images"] == {}


def test_no_path_is_among_the_facts(tiny_npz: Path, cli, config_file: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "out"
    assert cli("train", tiny_npz, "--out", out, "--config", config_file, "--steps", 2).code == 0
    assert str(tiny_npz.parent) not in json.dumps(run_facts(out, load_model(out)))
