"""The model card tells what was measured, and what was not."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import yaml

from bayescope.calibration.pooling import GroupPooling
from bayescope.evaluation.model_card import measure_rows, model_card
from bayescope.evaluation.run_facts import run_facts
from bayescope.runs.files import MEASURES
from bayescope.runs.model_file import load_model, model_fingerprint
from conftest import Call


def test_rows_of_measures_wherever_they_stand() -> None:
    found = {
        "images": 40,
        "measures": {"AUC": {"value": 0.9, "low": 0.8, "high": 0.95}},
        "by_class": {"a|b": {"images": 3, "PPV": {"value": 0.5, "low": None, "high": None}}},
    }
    assert list(measure_rows(found)) == [
        ("AUC", "0.900", "0.800 to 0.950"),
        ("a\\|b, PPV", "0.500", "– to –"),
    ]


def test_the_head_is_that_of_hugging_face(tiny_run: Path) -> None:
    facts = run_facts(tiny_run, load_model(tiny_run)) | {
        "measures": {"bayescope": {"AUC": {"value": 0.91, "low": 0.8, "high": 1.0}}}
    }
    head = yaml.safe_load(model_card(facts, "tiny").split("---")[1])
    assert head["library_name"] == "bayescope"
    assert head["pipeline_tag"] == "image-classification"
    (result,) = head["model-index"][0]["results"]
    assert (result["dataset"]["name"], result["metrics"][0]) == ("stripes", {"type": "AUC", "value": 0.91})


def test_a_run_that_was_not_measured_says_so(tiny_run: Path) -> None:
    text = model_card(run_facts(tiny_run, load_model(tiny_run)), "tiny")
    assert "Not recorded. `bayescope evaluate RUN DATA --out RUN/measures.json` records it." in text
    assert "model-index" not in text


def test_what_was_learned_of_several_images_of_a_patient_is_on_the_card(tiny_run: Path) -> None:
    learned = GroupPooling("patient", None, 0.42, (0.0, 0.0), (12, 14), fitted=True)
    poolings = learned, replace(learned, positive="upper"), GroupPooling.mean("study", None, (0, 1))
    text = model_card(run_facts(tiny_run, load_model(tiny_run).with_post_hoc(poolings=poolings)), "tiny")
    line = "Several images of a patient add up with a correlation of 0.42, learned on 26 groups of validation images."
    assert (text.count(line), text.count("Several images")) == (1, 1)


def test_what_evaluate_measured_is_on_the_card(cli: Call, tiny_run: Path, tiny_npz: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    assert cli("evaluate", run, tiny_npz, "--out", run / MEASURES).code == 0
    told = cli("card", run)
    assert told.code == 0, told.err
    text = (run / "README.md").read_text()
    measured = json.loads((run / MEASURES).read_text())["measures"]["accuracy"]
    assert f"| accuracy | {measured['value']:.3f} | {measured['low']:.3f} to {measured['high']:.3f} |" in text
    assert "had not seen (40 images, split test)" in text
    assert model_fingerprint(run) in text
    assert "For research; not a medical device." in text
    assert "15 upper, 15 lower" in text
    assert cli("card", run).code == 2
    assert cli("card", run, "--force").code == 0
