"""``bayescope adapt``: what it asks for, and what it prints of a result that was written down."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bayescope.cli.options import report_warnings
from bayescope.evaluation.adaptation import AdaptationResult
from bayescope.evaluation.evaluate import Trust
from bayescope.json_values import finite
from bayescope.metrics.bootstrap import Estimate
from cli.spies import answered, table_rows
from conftest import Call
from report_data import everything

BEFORE, SHOWN = everything()
BETTER = Trust(Estimate(0.11, 0.1, 0.12), Estimate(0.3, 0.2, 0.35))
AFTER = replace(
    BEFORE,
    measures={name: Estimate(0.99 - i / 50, 0.9, 1.0) for i, name in enumerate(BEFORE.measures)},
    trust={name: dict.fromkeys(rows, BETTER) for name, rows in BEFORE.trust.items()},
)
FOUND = AdaptationResult(BEFORE, AFTER, Estimate(-0.2, -0.3, -0.1), 0.256, SHOWN.chosen)
COMMAND = ("adapt", "run", "local.csv", "--out", "here")
pytestmark = pytest.mark.usefixtures("wide")


def answer(patch: pytest.MonkeyPatch, found: AdaptationResult = FOUND) -> list[dict[str, Any]]:
    answered(patch, "cli.adapt:stages", nullcontext("progress"))
    return answered(patch, "evaluation.adaptation:adapt_run", found)


def test_without_options_defaults_are_asked_for(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = answer(monkeypatch)
    cli(*COMMAND)
    (call,) = calls
    warned = call.pop("warned")
    assert (warned.func, warned.keywords) == (report_warnings, {"strict": False})
    paths = {"run": Path("run"), "data": Path("local.csv"), "out": Path("here")}
    switches = {"normalise_labels": False, "resize": False, "force": False}
    assert call == {**paths, "split": "all", **switches, "device": "auto", "progress": "progress"}
    assert all(call[name] is False for name in switches)
    cli(*COMMAND, "--split", "val", "--normalise-labels", "--strict", "--resize", "--device", "cpu", "--force")
    assert calls[1].pop("warned").keywords == {"strict": True}
    assert calls[1] == {**paths, "split": "val", **dict.fromkeys(switches, True), "device": "cpu", "progress": "progress"}


def test_before_and_after_stand_side_by_side(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch)
    told = cli(*COMMAND)
    assert table_rows(told.out) == [
        ["measure", "before (95 % interval)", "after, on folds"],
        *([name, str(BEFORE.measures[name]), str(AFTER.measures[name])] for name in BEFORE.measures),
        *(
            [f"{what}, {name}", str(row.measured), str(BETTER.measured)]
            for name, rows in BEFORE.trust.items()
            for what, row in rows.items()
        ),
    ]
    assert told.out.lstrip().startswith("60 local images\n")
    assert told.out.splitlines()[-3:] == [
        "Novel at the 5 % level before: 26% of the images",
        "Adapting helps: log loss changes by -0.200 (-0.300–-0.100)",
        "Page: here/adaptation.html",
    ]
    assert told.code == 0


def test_without_a_novelty_test_no_share_is_told(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, replace(FOUND, share_novel=None))
    told = cli(*COMMAND)
    assert "Novel" not in told.out
    assert "Adapting helps" in told.out


def test_json_is_printed_in_place_of_the_table(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch)
    assert json.loads(cli(*COMMAND, "--json").out) == json.loads(json.dumps(finite(FOUND.to_dict())))
