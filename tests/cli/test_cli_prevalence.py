"""``bayescope prevalence``: what it asks for, and what it prints of an estimate that was written down."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from bayescope.data.filesystem.file_summary import FileSummary
from bayescope.data.filesystem.walk import LeftOut
from bayescope.evaluation.prevalence import Plausibility, Prevalence
from bayescope.evaluation.unlabelled_input import SiteImages
from bayescope.metrics.bootstrap import Estimate
from cli.spies import answered, bars, table_rows
from conftest import Call

PIXELS = np.zeros((12, 1, 4, 4), dtype=np.uint8)
FOUND = Prevalence(
    {"ill": Estimate(0.25, 0.125, 0.5), "well": Estimate(0.75, 0.5, 0.875)},
    12,
    7,
    {"ill": 0.3333, "well": 0.6667},
    Plausibility(0.4321, 0.05, 7),
    ("few patients",),
)
pytestmark = pytest.mark.usefixtures("wide")


class Calls(NamedTuple):
    """What the command asked for."""

    load: list[dict[str, Any]]
    record: list[dict[str, Any]]
    read: list[dict[str, Any]]
    classify: list[dict[str, Any]]
    estimate: list[dict[str, Any]]
    bars: list[tuple[str, int, bool]]


class Model:
    """One that says all images are scored and answers "predictions"."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def classify(self, pixels: Any, **options: Any) -> str:
        self.calls.append(options | {"pixels": pixels})
        options["callback"](len(pixels))
        return "predictions"


def answers(patch: pytest.MonkeyPatch, found: Prevalence = FOUND, failed: tuple[LeftOut, ...] = ()) -> Calls:
    model = Model()
    images = SiteImages(PIXELS, tuple("aabbccddeefg"), failed, FileSummary(), ("two images left out",))
    answered(patch, "cli.prevalence:late_counter", nullcontext("count"))
    return Calls(
        answered(patch, "runs.model_file:load_model", model),
        answered(patch, "runs.folder:read_record", "record"),
        answered(patch, "evaluation.unlabelled_input:read_site_images", images),
        model.calls,
        answered(patch, "evaluation.prevalence:estimate_prevalence", found),
        bars(patch, "prevalence"),
    )


def test_images_are_read_scored_in_full_and_estimated_from(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = answers(monkeypatch)
    assert cli("prevalence", "run", "a", "b").code == 0
    assert calls.load == [{"run": Path("run"), "device": "auto"}]
    assert calls.record == [{"run": Path("run")}]
    (read,) = calls.read
    assert isinstance(read.pop("model"), Model)
    given = {"sources": [Path("a"), Path("b")], "frame": None, "resize": False, "callback": "count"}
    assert read == {"record": "record", **given}
    (scored,) = calls.classify
    assert (scored["disagreement_rate"], scored["pixels"] is PIXELS) == (0.0, True)
    (estimated,) = calls.estimate
    assert isinstance(estimated.pop("model"), Model)
    assert estimated == {"predictions": "predictions", "patients": tuple("aabbccddeefg"), "seed": 0}
    assert calls.bars == [("scoring images", 12, False)]


def test_options_are_passed_on(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = answers(monkeypatch)
    cli("prevalence", "run", "a", "--frame", 3, "--resize", "--device", "cpu", "--seed", 5)
    assert (calls.load[0]["device"], calls.read[0]["frame"], calls.read[0]["resize"]) == ("cpu", 3, True)
    assert calls.estimate[0]["seed"] == 5


def test_frequencies_are_a_table_and_an_option_for_other_commands(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch)
    told = cli("prevalence", "run", "a")
    assert table_rows(told.out) == [
        ["class", "frequency (95 % interval)", "called"],
        ["ill", "0.250 (0.125–0.500)", "0.333"],
        ["well", "0.750 (0.500–0.875)", "0.667"],
    ]
    assert told.out.lstrip().startswith("12 images of 7 patients\n")
    assert "called: share of the images whose most probable class is this" in told.out
    assert told.out.splitlines()[-2:] == [
        "The images are like those the model was validated on, as far as the novelty test tells (p = 0.43)",
        'For other commands: --prevalence "ill=0.2500,well=0.7500"',
    ]
    assert told.err.splitlines() == ["warning: two images left out", "warning: few patients"]


@pytest.mark.parametrize("fit", [None, Plausibility(0.01, 0.4, 7)], ids=["not tested", "doubtful"])
def test_images_that_may_be_unlike_are_not_said_to_be_like(
    cli: Call, monkeypatch: pytest.MonkeyPatch, fit: Plausibility | None
) -> None:
    answers(monkeypatch, replace(FOUND, plausibility=fit, patients=12))
    told = cli("prevalence", "run", "a")
    assert "The images are like" not in told.out
    assert told.out.lstrip().startswith("12 images\n")


def test_json_has_all_warnings_and_can_be_kept(cli: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    calls = answers(monkeypatch)
    told = cli("prevalence", "run", "a", "--json", "--out", kept)
    assert json.loads(told.out) == json.loads(json.dumps(FOUND.to_dict())) | {
        "warnings": ["two images left out", "few patients"]
    }
    assert kept.read_text() == told.out
    calls.load.clear()
    assert (cli("prevalence", "run", "a", "--out", kept).code, calls.load) == (2, [])
    assert cli("prevalence", "run", "a", "--out", kept, "--force").code == 0


def test_a_file_that_cannot_be_read_is_told_and_part_of_the_exit_code(cli: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, failed=(LeftOut(Path("b.png"), "b.png: no image", failed=True),))
    told = cli("prevalence", "run", "a")
    assert (told.code, "not read: b.png: no image\n" in told.err, "ill=0.2500" in told.out) == (1, True, True)
