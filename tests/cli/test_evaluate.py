"""``bayescope evaluate``: what it asks for, and what it prints of an evaluation that was written down."""

import json
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bayescope.cli.options import report_warnings
from bayescope.data.filesystem.file_summary import FileSummary
from bayescope.evaluation.folds import Fold
from bayescope.evaluation.result import Evaluation
from bayescope.evaluation.selection import ChosenImages
from bayescope.json_values import finite
from cli.spies import answered, table_rows
from conftest import Call
from report_data import everything

FOUND, SHOWN = everything()
CHOSEN = SHOWN.chosen
BENIGN, MALIGNANT = FOUND.model.class_names
pytestmark = pytest.mark.usefixtures("wide")


def with_files(chosen: ChosenImages, files: FileSummary, **changes: Any) -> ChosenImages:
    return replace(chosen, data=replace(chosen.data, files=files), **changes)


def answer(patch: pytest.MonkeyPatch, found: Evaluation = FOUND, *chosen: ChosenImages) -> list[dict[str, Any]]:
    return answered(patch, "evaluation.folds:evaluate_folds", (found, chosen or (CHOSEN,)))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    return answer(monkeypatch)


def test_without_options_defaults_are_asked_for(
    cli: Call, monkeypatch: pytest.MonkeyPatch, asked: list[dict[str, Any]]
) -> None:
    answered(monkeypatch, "cli.evaluate:stages", nullcontext("progress"))
    assert cli("evaluate", "run", "data.npz").code == 0
    (call,) = asked
    warned = call.pop("warned")
    assert (warned.func, warned.args, warned.keywords) == (report_warnings, (), {"strict": False})
    assert call == {
        "folds": [Fold(Path("run"), Path("data.npz"))],
        "split": "auto",
        "class_prior": None,
        "disagreement_rate": None,
        "max_passes": None,
        "positive": None,
        "normalise_labels": False,
        "resize": False,
        "device": "auto",
        "progress": "progress",
    }
    assert all(call[name] is False for name in ("normalise_labels", "resize"))


def test_every_option_is_passed_on(cli: Call, monkeypatch: pytest.MonkeyPatch, asked: list[dict[str, Any]]) -> None:
    names = answered(monkeypatch, "runs.model_file:read_class_names", (BENIGN, MALIGNANT))
    trained_on = answered(monkeypatch, "evaluation.folds:training_data", Path("other.npz"))
    options = ("--split", "val", "--positive", "malignant", "--prevalence", "0.1,0.9", "--disagreement-rate", 0.05)
    more = ("--max-passes", 9, "--normalise-labels", "--strict", "--resize", "--device", "cpu", "--pool", "a", "--pool", "b")
    told = cli("evaluate", "run", "data.npz", *options, *more)
    assert f"prevalence: {BENIGN} 0.1, malignant 0.9" in told.err
    (call,) = asked
    assert call["warned"].keywords == {"strict": True}
    np.testing.assert_allclose(call["class_prior"], [0.1, 0.9])
    assert names == [{"run": Path("run")}]
    assert [fold["run"] for fold in trained_on] == [Path("a"), Path("b")]
    assert call["folds"] == [Fold(Path("run"), Path("data.npz")), *(Fold(Path(of), Path("other.npz")) for of in "ab")]
    given = ("split", "positive", "disagreement_rate", "max_passes", "normalise_labels", "resize", "device")
    assert [call[name] for name in given] == ["val", "malignant", 0.05, 9, True, True, "cpu"]
    assert isinstance(call["warned"], partial)


def test_the_tables_show_each_number_under_its_head(cli: Call, asked: list[dict[str, Any]]) -> None:
    told = cli("evaluate", "run", "data.npz")
    counts = FOUND.confusion
    names = FOUND.model.class_names
    rows = [
        ["measure", "value (95 % interval)"],
        *([name, str(estimate)] for name, estimate in FOUND.measures.items()),
        ["measure", "value (95 % interval)"],
        *([f"{what}, malignant", str(estimate)] for what, estimate in FOUND.by_class["malignant"].items()),
        ["true class", *(f"called {name}" for name in names)],
        *([name, *(str(counts[name][other]) for other in names)] for name in names),
        ["measure", "value (95 % interval)", "expected if calibrated (95 % range)"],
        *([what, str(row.measured), str(row.expected_if_calibrated)] for what, row in FOUND.trust["malignant"].items()),
        ["sets and abstention", "promised", "measured"],
        ["sets that contain malignant, where it is true", "≥ 0.9", "0.950"],
        ["classes in a set", "", "1.25"],
        ["images classified", "", "0.875"],
        ["errors among these", "≤ 0.05", "0.025"],
    ]
    assert table_rows(told.out) == rows
    for line in (
        "<i>trial</i>.npz, all: 60 images, 40.0 passes each",
        "malignant against the rest",
        f"on 30 {BENIGN}, 30 malignant; predictive values at prevalence {BENIGN} 0.5, malignant 0.5; an image is called its "
        "most probable class",
        "Images by true class and class called",
        "Cllr: bits; expected: of perfectly calibrated probabilities on as many images",
        f"Calibration rests on validation images: 20 {BENIGN}, 30 malignant",
        "Decisions at the model's own prior; promises hold with --disagreement-rate 0",
    ):
        assert line in told.out
    assert "UNCALIBRATED" not in told.out
    assert told.err.strip() == "warning: uncalibrated <likelihood> ratios"


def test_without_a_positive_class_each_has_its_table(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, replace(FOUND, positive=None, decisions=None))
    told = cli("evaluate", "run", "data.npz")
    assert told.out.count("expected if calibrated") == 2
    assert "Each class against the rest" in told.out
    assert f"{BENIGN} against the rest" in told.out
    assert "Decisions" not in told.out


def test_what_is_uncalibrated_is_said_to_be(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    calibration = replace_namespace(FOUND.model.calibration, calibrated=False)
    answer(monkeypatch, replace(FOUND, models=(replace_namespace(FOUND.model, calibration=calibration),)))
    told = cli("evaluate", "run", "data.npz")
    assert "malignant against the rest: UNCALIBRATED likelihood ratios" in told.out
    assert "Calibration rests" not in told.out


def replace_namespace(of: Any, **changes: Any) -> Any:
    return type(of)(**vars(of) | changes)


def test_folds_and_images_seen_in_training_are_in_the_title(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    second = with_files(CHOSEN, FileSummary(), seen=True)
    answer(monkeypatch, FOUND, CHOSEN, second)
    assert "<i>trial</i>.npz, all of 2 folds, SEEN in training: 60 images" in cli("evaluate", "run", "data.npz").out


def test_files_of_a_folder_are_counted_on_standard_error(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    left_out = with_files(CHOSEN, FileSummary(9, {".gif is not read": 2}))
    answer(monkeypatch, FOUND, left_out, with_files(CHOSEN, FileSummary(4)), CHOSEN)
    complaints = answered(monkeypatch, "cli.evaluate:complain")
    cli("evaluate", "run", "data.npz")
    assert complaints == [
        {"text": "<i>trial</i>.npz: found 9 files, used 7, left out 2: .gif is not read (2)", "style": "yellow"},
        {"text": "<i>trial</i>.npz: found 4 files, used 4, left out 0", "style": "dim"},
    ]


def test_json_is_printed_and_kept_in_place_of_tables(cli: Call, asked: list[dict[str, Any]], tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    told = cli("evaluate", "run", "data.npz", "--json", "--out", kept)
    assert json.loads(told.out) == finite(FOUND.to_dict(CHOSEN))
    assert kept.read_text() == told.out
    assert "│" in cli("evaluate", "run", "data.npz", "--out", kept, "--force").out
    assert kept.read_text() == told.out
    asked.clear()
    assert cli("evaluate", "run", "data.npz", "--out", kept).code == 2
    assert asked == []
