"""`explain`, and what `classify` and `evaluate` say of calibration and novelty."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bayescope.calibration.affine import BiasCorrectedTemperatureScaling, identity_calibration
from bayescope.config import Config
from bayescope.data.dataset import Dataset
from bayescope.evaluation.explanation_files import explanation_files
from bayescope.fitting.post_hoc import calibrated
from bayescope.inference.explain import explain
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.read import read_for_model
from bayescope.runs.model_file import load_model, save_model


@pytest.fixture
def picture(tiny_data: Dataset, tmp_path: Path) -> Path:
    path = tmp_path / "case.png"
    Image.fromarray(tiny_data.test.pixels[1, 0]).save(path)
    return path


def saved(run: Path, model: LikelihoodModel) -> Path:
    save_model(run, model)
    return run


@pytest.mark.slow
def test_the_map_adds_up_to_what_classify_reports(cli: Any, tiny_run: Path, picture: Path, tmp_path: Path) -> None:
    options = ("--prevalence", "0.3,0.7")
    predict = json.loads(cli("classify", tiny_run, picture, "--json", "--disagreement-rate", 0, *options)[1])
    reported = predict["log_likelihood_ratio"][predict["class"]]
    for extra, factor in (((), 1.0), (("--bans",), 1 / np.log(10)), (("--against", "upper"), 1.0)):
        out = tmp_path / "_".join(["out", *extra])
        code, text, error = cli("explain", tiny_run, picture, "--out", out, *options, *extra)
        assert (code, "few validation images" in error) == (0, True)
        found = np.load(out / "case-evidence.npy")
        assert found.shape == (8, 12)
        assert found.sum() == pytest.approx(factor * reported, rel=1e-4)
        assert "lower against " in text
        assert ("bans" if extra == ("--bans",) else "nats") in text
        levels = np.load(out / "case-levels.npy")
        assert levels.shape == (4, 8, 12)
        np.testing.assert_allclose((found - levels.sum(axis=0)).std(), 0, atol=1e-6 * np.abs(found).max())
        names = ("evidence.png", "scales.png", "evidence.npy", "levels.npy")
        assert {path.name for path in out.iterdir()} == {f"case-{name}" for name in names}
        assert Image.open(out / "case-evidence.png").size > (800, 300)


@pytest.mark.slow
def test_the_files_are_those_of_the_function(cli: Any, tiny_run: Path, picture: Path, tmp_path: Path) -> None:
    options = ("--counterfactual", "--sigma", 0.5, "--bans", "--prevalence", "0.3,0.7")
    assert cli("explain", tiny_run, picture, "--out", tmp_path / "why", *options)[0] == 0
    model = load_model(tiny_run)
    pixels = read_for_model(model, [picture]).pixels
    found = explain(model, pixels, {"upper": 0.3, "lower": 0.7}, counterfactual_sigma=0.5)
    files = explanation_files(model, found, "bans")
    assert {path.name: path.read_bytes() for path in (tmp_path / "why").iterdir()} == {
        f"case-{name}": content for name, content in files.items()
    }
    assert set(files) == {"evidence.png", "scales.png", "evidence.npy", "levels.npy", "counterfactual.png"}


def test_what_classify_tells_after_an_early_stop_is_said_beside(
    cli: Any, tiny_run: Path, picture: Path, tmp_path: Path
) -> None:
    early = json.loads(cli("classify", tiny_run, picture, "--json")[1])
    text = cli("explain", tiny_run, picture, "--out", tmp_path / "why")[1]
    assert f"gives {early['log_likelihood_ratio'][early['class']]:+.4f} ±" in text


@pytest.mark.slow
def test_sets_abstention_and_what_the_calibration_rests_on_are_told(
    cli: Any, tiny_run: Path, tiny_npz: Path, picture: Path, tmp_path: Path
) -> None:
    predict = json.loads(cli("classify", tiny_run, picture, "--json")[1])
    assert predict["class"] in predict["prediction_set"]
    assert predict["calibration_images"] == {"upper": 15, "lower": 15}
    assert predict["abstained"] is None
    _, text, error = cli("classify", tiny_run, picture)
    assert "no threshold keeps the risk below 0.05" in error
    assert "15 upper, 15 lower" in " ".join(text.split())
    found = json.loads(cli("evaluate", tiny_run, tiny_npz, "--json")[1])["decisions"]
    assert set(found["set coverage"]) == {"upper", "lower"}
    assert found["answered"] is None
    assert found["wrong among answered"] is None
    model = load_model(tiny_run)
    assert model.decisions is not None
    abstention = replace(model.decisions.abstention, threshold=0.6)
    run = saved(tmp_path / "run", model.with_post_hoc(decisions=replace(model.decisions, abstention=abstention)))
    assert json.loads(cli("classify", run, picture, "--json")[1])["abstained"] is False
    assert json.loads(cli("evaluate", run, tiny_npz, "--json")[1])["decisions"]["answered"] > 0.5
    assert "errors among these" in cli("evaluate", run, tiny_npz)[1]


def test_counterfactual_is_drawn_beside(cli: Any, tiny_run: Path, picture: Path, tmp_path: Path) -> None:
    assert cli("explain", tiny_run, picture, "--out", tmp_path / "why", "--counterfactual", "--sigma", 0.5)[0] == 0
    assert Image.open(tmp_path / "why" / "case-counterfactual.png").size > (800, 300)
    assert cli("explain", tiny_run, picture, "--out", tmp_path / "why", "--counterfactual", "--sigma", 0.001)[0] == 2


def test_a_isotonic_calibration_is_explained_too(
    cli: Any, tiny_run: Path, tiny_data: Dataset, tiny_config: Config, picture: Path, tmp_path: Path
) -> None:
    evidence = tiny_config.evidence.model_copy(update={"calibration": "isotonic"})
    model = replace(load_model(tiny_run), config=tiny_config.model_copy(update={"evidence": evidence}))
    run = saved(tmp_path / "run", calibrated(model, tiny_data.train, None))
    predict = json.loads(cli("classify", run, picture, "--json")[1])
    assert predict["calibrated"]
    assert cli("explain", run, picture, "--out", tmp_path / "why")[0] == 0
    total = np.load(tmp_path / "why" / "case-evidence.npy").sum()
    assert total == pytest.approx(predict["log_likelihood_ratio"]["lower"], rel=1e-4)


@pytest.mark.parametrize(("name", "message"), [("left", "expected one of: upper, lower"), ("lower", "expected one of: upper")])
def test_bad_rival(cli: Any, tiny_run: Path, picture: Path, tmp_path: Path, name: str, message: str) -> None:
    code, _, error = cli("explain", tiny_run, picture, "--out", tmp_path / "why", "--against", name)
    assert (code, message in error) == (2, True)
    assert not (tmp_path / "why").exists()


def test_unreadable_image(cli: Any, tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    code, _, error = cli("explain", tiny_run, tmp_path / "bad.png", "--out", tmp_path / "why")
    assert (code, "bad.png" in error) == (1, True)


def test_classify_warns_of_an_unfamiliar_image(cli: Any, tiny_run: Path, picture: Path, tmp_path: Path) -> None:
    model = load_model(tiny_run)
    assert model.novelty is not None
    usual = replace(model.novelty, folds=tuple(replace(f, scores=np.tile(f.scores, 20)) for f in model.novelty.folds))
    run = saved(tmp_path / "run", model.with_post_hoc(tests={"novelty": usual}))
    odd = tmp_path / "odd.png"
    Image.fromarray(np.tile(np.array([[0, 255]], dtype=np.uint8), (8, 6))).save(odd)
    one, two = (json.loads(line) for line in cli("classify", run, picture, odd, "--json")[1].splitlines())
    assert one["novelty_p_value"] > 0.01 >= two["novelty_p_value"]
    assert any("unlike the training images" in text for text in two["warnings"])
    assert not any("unlike" in text for text in one["warnings"])
    assert "unlike" in cli("classify", run, odd)[1]
    skipped = json.loads(cli("classify", run, odd, "--json", "--no-novelty", "--disagreement-rate", 0.2)[1])
    tested = json.loads(cli("classify", run, odd, "--json", "--disagreement-rate", 0.2)[1])
    assert skipped["novelty_p_value"] is None
    assert skipped["passes"] < tested["passes"]


@pytest.mark.slow
@pytest.mark.usefixtures("few_cases")
def test_an_uncalibrated_model_says_so_everywhere(
    cli: Any, tiny_run: Path, tiny_npz: Path, picture: Path, tmp_path: Path
) -> None:
    uncalibrated = identity_calibration((0, 0), "uncalibrated likelihood ratios")
    run = saved(tmp_path / "run", load_model(tiny_run).with_post_hoc(calibration=uncalibrated, tests={}))
    code, text, error = cli("classify", run, picture)
    assert "UNCALIBRATED" in text
    assert "uncalibrated" in error
    assert "not tested" in error
    predict = json.loads(cli("classify", run, picture, "--json")[1])
    assert (code, predict["calibrated"], predict["novelty_p_value"]) == (0, False, None)
    assert "UNCALIBRATED log-likelihood ratio" in cli("explain", run, picture, "--out", tmp_path / "why")[1]
    assert "UNCALIBRATED" in cli("evaluate", run, tiny_npz)[1]
    (run / "run.json").write_bytes((tiny_run / "run.json").read_bytes())
    assert cli("report", run, "--data", tiny_npz)[0] == 0
    assert "uncalibrated likelihood ratios" in (run / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("few_cases")
def test_report_shows_maps_novelty_and_the_slider(cli: Any, tiny_run: Path, tiny_npz: Path, tmp_path: Path) -> None:
    assert cli("report", tiny_run, "--data", tiny_npz, "--out", tmp_path / "page.html")[0] == 0
    page = (tmp_path / "page.html").read_text()
    for text in ("evidence in ", "novelty p = ", "before calibration", "Risk and coverage", 'type="range"', "minCllr"):
        assert text in page


@pytest.mark.slow
def test_evaluate_shows_trust_beside_what_is_expected(cli: Any, tiny_run: Path, tiny_npz: Path, tmp_path: Path) -> None:
    found = json.loads(cli("evaluate", tiny_run, tiny_npz, "--json")[1])
    assert found["calibrated"]
    assert "few validation images" in found["warnings"][-1]
    rows = found["trust"]["lower"]
    assert set(rows) == {"Cllr", "minCllr", "calibration loss", "ECE", "Brier score"}
    difference = rows["Cllr"]["measured"]["value"] - rows["minCllr"]["measured"]["value"]
    assert rows["calibration loss"]["measured"]["value"] == pytest.approx(difference)
    assert rows["ECE"]["expected_if_calibrated"]["low"] <= rows["ECE"]["expected_if_calibrated"]["high"]
    assert 0 <= found["measures"]["AURC"]["value"] < 0.2
    loud = load_model(tiny_run).with_post_hoc(calibration=BiasCorrectedTemperatureScaling(1.0, (0.0, 1e3), (15, 15), True))
    worse = json.loads(cli("evaluate", saved(tmp_path / "run", loud), tiny_npz, "--json", "--prevalence", "0.9,0.1")[1])
    assert worse["trust"]["lower"]["Cllr"]["measured"]["value"] > rows["Cllr"]["measured"]["value"] + 1
    assert worse["trust"]["lower"]["minCllr"]["measured"]["value"] == pytest.approx(
        rows["minCllr"]["measured"]["value"], abs=0.2
    )
