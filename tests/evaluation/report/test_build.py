"""The report in one Python call, which does what the command does."""

import re
from pathlib import Path

import pytest

from bayescope.evaluation.progress import Advance, counting
from bayescope.evaluation.report.build import write_report
from conftest import Call


@pytest.mark.slow
@pytest.mark.usefixtures("few_cases")
def test_a_report_is_one_call(cli: Call, tiny_run: Path, tiny_npz: Path, tmp_path: Path) -> None:
    by_command, by_call = tmp_path / "command.html", tmp_path / "call.html"
    words = ("report", tiny_run, "--data", tiny_npz, "--positive", "upper", "--prevalence", "upper=0.2,lower=0.8")
    told = cli(*words, "--split", "val", "--out", by_command)
    assert told.code == 0
    heard: list[str] = []
    stages: dict[str, int] = {}

    def progress(stage: str, total: int) -> Advance:
        stages[stage] = total
        return lambda done: None

    found = write_report(
        tiny_run,
        by_call,
        data=tiny_npz,
        split="val",
        positive="upper",
        class_prior={"upper": 0.2, "lower": 0.8},
        warned=heard.extend,
        progress=progress,
    )
    assert len(found.images) == 30
    assert any("validated on" in text for text in heard)
    assert all(f"warning: {text}" in told.err for text in heard)
    assert (stages["scoring images"], stages["sampling"]) == (30, 2)
    without_figures = [re.sub("<svg.*?</svg>", "", path.read_text(), flags=re.DOTALL) for path in (by_command, by_call)]
    assert without_figures[0] == without_figures[1]


def test_a_warning_may_stop_a_report_before_it_is_written(cli: Call, tiny_run: Path, tiny_npz: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    told = cli("report", tiny_run, "--data", tiny_npz, "--split", "val", "--strict", "--out", target)
    assert (told.code, target.exists()) == (2, False)
    assert "validated on" in told.err


def test_progress_is_counted_from_what_is_done_so_far() -> None:
    begun: list[tuple[str, int]] = []
    done: list[int] = []

    def progress(stage: str, total: int) -> Advance:
        begun.append((stage, total))
        return done.append

    count = counting(progress, "reading")
    for so_far in (0, 3, 7):
        count(so_far, 7)
    assert (begun, done) == ([("reading", 7)], [0, 3, 4])
