"""``bayescope likelihood``: what it asks for, and what it prints of likelihoods that were written down."""

import json
from pathlib import Path
from types import MethodType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from bayescope.inference import likelihood
from bayescope.inference.likelihood import ExactLikelihood
from bayescope.inference.model import LikelihoodModel
from cli.spies import answered, bars, table_rows
from conftest import Call

FOUND = ExactLikelihood(
    np.array([[-10.125, -20.25], [-30.5, -40.0]]),
    np.array([[0.0, 1.25], [2.5, 0.0]]),
    np.array([[3.0, 3.5], [4.125, 4.25]]),
    np.array([48, 52]),
    "bits of blurred images",
)
PIXELS, STEPS = np.zeros((2, 1, 4, 4)), np.array([1.0, 16.0])
BAD = {"image": "bad.png", "error": "no image"}
pytestmark = pytest.mark.usefixtures("wide")


class Calls(NamedTuple):
    """What the command asked for."""

    load: list[dict[str, Any]]
    settings: list[dict[str, Any]]
    read: list[dict[str, Any]]
    score: list[dict[str, Any]]
    bars: list[tuple[str, int, bool]]
    model: Any


class Images(SimpleNamespace):
    """As they were read."""

    def __len__(self) -> int:
        return len(self.names)


def answers(patch: pytest.MonkeyPatch, names: tuple[str, ...] = ("a.png", "b.png"), failed: bool = False) -> Calls:
    model = SimpleNamespace(class_names=("upper", "lower"))
    model.by_class = MethodType(LikelihoodModel.by_class, model)
    records = [BAD] if failed else []
    given = {"names": names, "pixels": PIXELS, "gray_level_steps": STEPS, "remarks": (("cut",), ()), "failed": failed}
    return Calls(
        answered(patch, "runs.model_file:load_model", model),
        answered(patch, "inference.likelihood:flow_settings", "settings"),
        answered(patch, "cli.likelihood:read_images", Images(**given, left_out_records=lambda: records)),
        scored(patch),
        bars(patch, "likelihood"),
        model,
    )


def scored(patch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Calls of ``exact_likelihood``, which say that both images are done."""
    calls: list[dict[str, Any]] = []

    def score(model: Any, pixels: Any, settings: Any, callback: Any, step: Any) -> ExactLikelihood:
        calls.append({"model": model, "pixels": pixels, "settings": settings, "step": step})
        callback(2)
        return FOUND

    patch.setattr(likelihood, "exact_likelihood", score)
    return calls


def test_images_are_read_and_integrated(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = answers(monkeypatch)
    assert cli("likelihood", "run", "a.png", "b.png").code == 0
    assert calls.load == [{"run": Path("run"), "device": "auto"}]
    nothing = dict.fromkeys(("solver", "tolerance", "steps", "trace", "probes"))
    assert calls.settings == [{"model": calls.model, "settings": None, "changes": nothing}]
    assert calls.read == [{"model": calls.model, "images": [Path("a.png"), Path("b.png")], "frame": None, "resize": False}]
    assert calls.read[0]["resize"] is False
    assert calls.score == [{"model": calls.model, "pixels": PIXELS, "settings": "settings", "step": STEPS}]
    assert calls.bars == [("integrating the flow", 2, False)]


def test_options_are_passed_on(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = answers(monkeypatch)
    flow = ("--solver", "rk4", "--tolerance", 0.5, "--steps", 7, "--trace", "gaussian", "--probes", 3)
    cli("likelihood", "run", "a", *flow, "--frame", "all", "--resize", "--device", "cpu")
    assert calls.load[0]["device"] == "cpu"
    expected = {"solver": "rk4", "tolerance": 0.5, "steps": 7, "trace": "gaussian", "probes": 3}
    assert calls.settings[0]["changes"] == expected
    assert (calls.read[0]["frame"], calls.read[0]["resize"]) == ("all", True)


def test_each_class_of_each_image_is_a_row(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch)
    told = cli("likelihood", "run", "a")
    assert table_rows(told.out) == [
        ["image", "class", "log-likelihood", "±", "bits per pixel", "passes"],
        ["a.png", "upper", "-10.12", "0.00", "3.000", "48"],
        ["a.png", "lower", "-20.25", "1.25", "3.500", ""],
        ["b.png", "upper", "-30.50", "2.50", "4.125", "52"],
        ["b.png", "lower", "-40.00", "0.00", "4.250", ""],
    ]
    assert "nats; ±: standard error of the difference from the best class" in told.out
    assert told.err == "warning: bits of blurred images\n"


def test_json_is_a_line_an_image_and_last_what_could_not_be_read(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = answers(monkeypatch, failed=True)
    told = cli("likelihood", "run", "a", "--json")
    records = [*FOUND.records(calls.model, ("a.png", "b.png"), (("cut",), ())), BAD]
    assert [json.loads(line) for line in told.out.splitlines()] == records
    assert told.code == 1
    assert cli("likelihood", "run", "a").code == 1


def test_without_an_image_nothing_is_integrated(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = answers(monkeypatch, names=(), failed=True)
    told = cli("likelihood", "run", "a", "--json")
    assert (told.code, calls.score, json.loads(told.out)) == (1, [], BAD)
