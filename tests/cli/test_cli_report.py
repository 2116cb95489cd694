"""``bayescope report``: what it asks for and what it says."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bayescope.cli.options import report_warnings
from cli.spies import answered
from conftest import Call
from report_data import everything

FOUND, _ = everything()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    answered(monkeypatch, "cli.report:stages", nullcontext("progress"))
    answered(monkeypatch, "runs.model_file:read_class_names", FOUND.model.class_names)
    return answered(monkeypatch, "evaluation.report.build:write_report", FOUND)


def asked_once(asked: list[dict[str, Any]]) -> dict[str, Any]:
    (call,) = asked
    assert call.pop("sections"), "the command shows all sections"
    return call


def test_without_options_the_report_is_in_the_run_folder(cli: Call, asked: list[dict[str, Any]], tmp_path: Path) -> None:
    told = cli("report", tmp_path)
    call = asked_once(asked)
    warned = call.pop("warned")
    assert (warned.func, warned.keywords) == (report_warnings, {"strict": False})
    assert call == {
        "run": tmp_path,
        "target": tmp_path / "report.html",
        "data": None,
        "split": "auto",
        "positive": None,
        "class_prior": None,
        "normalise_labels": False,
        "device": "auto",
        "progress": "progress",
    }
    assert call["normalise_labels"] is False
    assert (told.code, told.out) == (0, f"Report: {tmp_path / 'report.html'}\n")
    assert told.err == "warning: uncalibrated <likelihood> ratios\n"


def test_every_option_is_passed_on(cli: Call, asked: list[dict[str, Any]], tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    options = ("--data", "x.npz", "--out", target, "--split", "all", "--positive", "malignant", "--prevalence", "0.1,0.9")
    assert cli("report", "run", *options, "--normalise-labels", "--strict", "--device", "cpu").out == f"Report: {target}\n"
    call = asked_once(asked)
    np.testing.assert_allclose(call.pop("class_prior"), [0.1, 0.9])
    assert call.pop("warned").keywords == {"strict": True}
    paths = {"run": Path("run"), "target": target, "data": Path("x.npz")}
    expected = {"split": "all", "positive": "malignant", "normalise_labels": True, "device": "cpu", "progress": "progress"}
    assert call == paths | expected


def test_a_report_is_replaced_by_force_alone(cli: Call, asked: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("old")
    told = cli("report", tmp_path)
    assert (told.code, "exists already" in told.err, asked) == (2, True, [])
    assert cli("report", tmp_path, "--force").code == 0
    assert len(asked) == 1
