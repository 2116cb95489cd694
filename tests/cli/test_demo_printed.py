"""``bayescope demo``: what it asks for, and what it prints and writes of a demo that was written down."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from bayescope.evaluation.demo_run import Demo
from bayescope.evaluation.result import Evaluation
from bayescope.metrics.bootstrap import Estimate
from cli.spies import answered, table_rows
from conftest import Call
from report_data import everything

FOUND, _ = everything()
IDEAL = {name: Estimate(1.0, 0.99, 1.0) for name in FOUND.measures}
pytestmark = pytest.mark.usefixtures("wide")


class Shown(Demo):
    """A demo whose record is short."""

    def to_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "none": float("nan")}


def demo(found: Evaluation = FOUND) -> Demo:
    return Shown(found, found.measures, IDEAL, 12, Path("demo-run/report.html"))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo-run").mkdir()
    answered(monkeypatch, "cli.demo:stages", nullcontext("progress"))
    return answered(monkeypatch, "evaluation.demo_run:run_demo", demo())


def test_what_is_asked_for(cli: Call, asked: list[dict[str, Any]], tmp_path: Path) -> None:
    cli("demo")
    cli("demo", "--out", tmp_path, "--seed", 3, "--steps", 5, "--force")
    assert asked == [
        {"out": Path("demo-run"), "seed": 0, "steps": None, "force": False, "progress": "progress"},
        {"out": tmp_path, "seed": 3, "steps": 5, "force": True, "progress": "progress"},
    ]
    assert asked[0]["force"] is False


def test_the_model_stands_beside_the_ideal_observer(cli: Call, asked: list[dict[str, Any]]) -> None:
    told = cli("demo")
    names = FOUND.images.class_names
    rows = table_rows(told.out)
    assert rows[: len(IDEAL) + 1] == [
        ["measure", "value (95 % interval)", "ideal observer"],
        *([name, str(FOUND.measures[name]), str(IDEAL[name])] for name in IDEAL),
    ]
    assert rows[len(IDEAL) + 1 :] == [
        ["measure", "value (95 % interval)"],
        *([f"{what}, malignant", str(estimate)] for what, estimate in FOUND.by_class["malignant"].items()),
    ]
    assert f"60 phantom images: {', '.join(names)}" in told.out
    assert "AUC: 80 % of what is attainable above chance\naccuracy: 73 % of what is attainable above chance" in told.out
    assert told.out.splitlines()[-1] == "Report: demo-run/report.html"
    assert told.err == "warning: uncalibrated <likelihood> ratios\n"
    assert Path("demo-run/measures.json").read_text() == json.dumps({"seconds": 12, "none": None}, indent=1)


def test_an_interrupt_tells_that_nothing_is_kept(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    answered(monkeypatch, "evaluation.demo_run:run_demo", KeyboardInterrupt())
    told = cli("demo")
    assert (told.code, told.err.strip()) == (130, "interrupted: the demo cannot be resumed; start again with --force")
