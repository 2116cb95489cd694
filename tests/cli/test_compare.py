"""``bayescope compare``: what it asks for, and what it prints and writes of a comparison that was written down."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bayescope.cli import compare
from bayescope.config import Config
from bayescope.data.dataset import Dataset
from bayescope.evaluation.compare import page
from bayescope.evaluation.compare.statistics import Scores
from bayescope.evaluation.compare.summary import Comparison, Row
from bayescope.json_values import finite
from bayescope.metrics.bootstrap import Estimate
from cli.spies import answered, table_rows
from conftest import Call

MEASURES = {"AUC": Estimate(0.9, 0.8, 0.95), "balanced accuracy": Estimate(0.7, 0.6, 0.8)}
LEAD = {"AUC": Estimate(0.1, 0.05, 0.2)}
FOUND = Comparison(
    "stripes.npz", "12", (), ("upper", "lower"), 40, None, 30, (0, 1), 24, 8, "cpu",
    (
        Row("Bayescope", 1.0, 60, Scores(MEASURES, 0.01), 12.0, 24.0, 150.0, 16.0, 1000),
        Row("ResNet-18", 1.0, 60, Scores(MEASURES, 0.02, LEAD), 3.0, 24.0, 900.0, 1.0, 2000),
    ),
)  # fmt: skip
pytestmark = pytest.mark.usefixtures("wide")


class Calls(NamedTuple):
    """What the command asked for."""

    load: list[dict[str, Any]]
    compare: list[dict[str, Any]]
    summarise: list[dict[str, Any]]
    bars: list[tuple[str, int]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tiny_data: Dataset) -> Calls:
    shown: list[tuple[str, int]] = []

    class Bar:
        def __enter__(self) -> str:
            return "done"

        def __exit__(self, *_: object) -> None:
            return None

    def bar(title: str, total: int) -> Bar:
        shown.append((title, total))
        return Bar()

    monkeypatch.setattr(compare, "bar", bar)
    return Calls(
        answered(monkeypatch, "cli.compare:load", tiny_data),
        answered(monkeypatch, "evaluation.compare.folds:compare_folds", "results"),
        answered(monkeypatch, "evaluation.compare.summary:summarise", FOUND),
        shown,
    )


def test_by_default_five_networks_at_three_seeds(cli: Call, asked: Calls, tiny_data: Dataset, tmp_path: Path) -> None:
    assert cli("compare", "data.npz", "--out", tmp_path).code == 0
    given = {"normalise_labels": False, "strict": False}
    assert asked.load == [{"data": Path("data.npz"), "size": None, "seed": 0, "unlabelled": None, **given}]
    assert all(asked.load[0][name] is False for name in given)
    (call,) = asked.compare
    assert [fold.source for fold in call.pop("folds")] == ["stripes"]
    assert call == {
        "config": Config(),
        "networks": ["resnet18", "resnet50", "densenet121", "efficientnet-b0", "vit"],
        "seeds": [0, 1, 2],
        "fractions": [1.0],
        "folder": tmp_path,
        "force": False,
        "done": "done",
        "by": None,
        "any_of": None,
    }
    assert asked.bars == [("training and measuring", 6 * 3)]
    (summary,) = asked.summarise
    assert (summary["config"], summary["results"], summary["positive"]) == (Config(), "results", None)
    assert len(summary["data"].test) == len(tiny_data.test)


def test_options_are_passed_on(
    cli: Call, asked: Calls, monkeypatch: pytest.MonkeyPatch, tiny_data: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "c.toml").write_text("seed = 4\nsize = 16\n")
    pooled = answered(monkeypatch, "evaluation.compare.folds:pooled_data", tiny_data)
    numbers = ("--networks", " vit, resnet18,", "--seeds", "3,4,5", "--fractions", "0.5,1", "--steps", 7)
    switches = ("--positive", "lower", "--normalise-labels", "--strict", "--force", "--config", tmp_path / "c.toml")
    cli("compare", "a", "--pool", "b", "--pool", "c", "--out", tmp_path, *numbers, *switches)
    assert [call["data"] for call in asked.load] == [Path("a"), Path("b"), Path("c")]
    assert {(call["size"], call["seed"], call["normalise_labels"], call["strict"]) for call in asked.load} == {
        (16, 4, True, True)
    }
    (call,) = asked.compare
    assert len(call["folds"]) == len(pooled[0]["folds"]) == 3
    assert (call["networks"], call["seeds"], call["fractions"]) == (["vit", "resnet18"], [3, 4, 5], [0.5, 1.0])
    assert (call["config"].training.steps, call["config"].seed, call["force"]) == (7, 4, True)
    assert call["config"].training.batch_size == Config().training.batch_size
    assert asked.bars == [("training and measuring", 3 * 3 * 2 * 3)]
    assert (asked.summarise[0]["positive"], asked.summarise[0]["data"] is tiny_data) == ("lower", True)
    assert asked.summarise[0]["config"] == call["config"]


def test_the_table_is_printed_and_written(cli: Call, asked: Calls, tmp_path: Path) -> None:
    told = cli("compare", "data.npz", "--out", tmp_path)
    assert table_rows(told.out) == [list(page.columns(FOUND)), *(list(page.cells(row)) for row in FOUND.rows)]
    assert told.out.lstrip().startswith("stripes.npz: 40 test images\n")
    assert told.out.splitlines()[-2:] == [
        "With 100 % of the training images, Bayescope's AUC is above ResNet-18.",
        f"Page: {tmp_path / 'compare.html'}; table: {tmp_path / 'compare.md'}",
    ]
    assert (tmp_path / "compare.md").read_text() == page.markdown(FOUND)
    assert "ResNet-18" in (tmp_path / "compare.html").read_text()
    told = cli("compare", "data.npz", "--out", tmp_path, "--json")
    assert json.loads(told.out) == json.loads(json.dumps(finite(asdict(FOUND))))


def test_warnings_of_the_data_are_told_once(
    cli: Call, asked: Calls, monkeypatch: pytest.MonkeyPatch, tiny_data: Dataset, tmp_path: Path
) -> None:
    """Those of reading are told by ``load``; what is left out of the test images is added."""
    loaded = replace(tiny_data, warnings=("read",))
    answered(monkeypatch, "cli.compare:load", loaded)
    answered(monkeypatch, "data.copies:unseen_test", replace(loaded, warnings=("read", "left out")))
    reported = answered(monkeypatch, "cli.compare:report_warnings")
    cli("compare", "data.npz", "--out", tmp_path, "--strict")
    assert reported == [{"warnings": ("left out",), "strict": True}]


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--seeds", "1,two", "seeds '1,two'; expected numbers separated by commas, e.g. 0,1"),
        ("--fractions", "half", "fractions 'half'; expected numbers"),
        ("--positive", "left", "expected one of the classes: upper, lower"),
    ],
)
def test_the_impossible_is_refused_before_anything_is_trained(
    cli: Call, asked: Calls, tmp_path: Path, option: str, value: str, message: str
) -> None:
    told = cli("compare", "data.npz", "--out", tmp_path, option, value)
    assert (told.code, message in told.err, asked.compare) == (2, True, [])


def test_an_interrupt_tells_that_what_was_measured_is_kept(
    cli: Call, asked: Calls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answered(monkeypatch, "evaluation.compare.folds:compare_folds", KeyboardInterrupt())
    told = cli("compare", "data.npz", "--out", tmp_path)
    assert told.code == 130
    assert told.err == f"interrupted: {tmp_path} has what was measured; continue with the same command\n"
