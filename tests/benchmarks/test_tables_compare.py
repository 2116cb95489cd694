"""The results page on a comparison: from the JSON of the command to tables and a result that follows from the numbers."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from benchmarks.store import Store
from benchmarks.tables import compare as page

from bayescope.evaluation.compare.statistics import Scores
from bayescope.evaluation.compare.summary import Comparison, Row
from bayescope.metrics.bootstrap import Estimate

NAN = float("nan")


def row(method: str, fraction: float, auc: float, difference: tuple[float, float] | None) -> Row:
    reach = NAN if auc == 1 else 0.05
    measures = {name: Estimate(auc, auc - reach, auc + reach) for name in ("AUC", "balanced", "sensitivity")}
    found = {} if difference is None else {"AUC": Estimate(sum(difference) / 2, *difference)}
    return Row(method, fraction, round(100 * fraction), Scores(measures, NAN, found), 1.0, 10.0, 50.0, 1.0, 1000)


def comparison(*rows: Row) -> Comparison:
    return Comparison("x.npz", "f", (), ("a", "b"), 40, None, 20, (0, 1), 10, 8, "cpu, 1 threads", rows)


ROWS = (
    row("Bayescope", 1.0, 0.8, None),
    row("ResNet-18", 1.0, 0.9, (-0.15, -0.05)),
    row("ViT-Tiny", 1.0, 0.8, (-0.1, 0.1)),
    row("Bayescope", 0.1, 0.7, None),
    row("ResNet-18", 0.1, 0.6, (0.02, 0.18)),
    row("ViT-Tiny", 0.1, 0.5, (0.1, 0.3)),
)


def test_result_says_where_it_wins_and_where_not() -> None:
    said = page.conclusions(comparison(*ROWS))
    assert said.startswith("Of 4 comparisons, the likelihood classifier wins")
    wins, loses, level = said.split(". It ")
    assert "in 2: against ResNet-18 with 10 %" in wins
    assert "ViT-Tiny with 10 %" in wins
    assert "in 1: against ResNet-18 with 100 %" in loses
    assert "in 1: against ViT-Tiny with 100 %" in level
    assert page.conclusions(comparison(ROWS[0])) == "The likelihood classifier was measured alone."


def test_section_of_what_the_command_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    perfect = row("Bayescope", 1.0, 1.0, None)
    text = json.dumps(asdict(comparison(perfect, *ROWS[1:])))
    content = json.loads(text, parse_constant=lambda nan: None)
    monkeypatch.setattr("benchmarks.store.RESULTS", tmp_path)
    Store("compare").put("breastmnist", content)
    lines = page.section()
    assert "### BreastMNIST, 28 px" in lines
    assert "| Bayescope | **0.700 (0.650 to 0.750)** | **1.000 (–)** |" in lines
    assert "| AUC with | 10 images (10 %) | 100 images (100 %) |" in lines
    monkeypatch.setattr("benchmarks.store.RESULTS", tmp_path / "nothing")
    assert "Not measured yet." in page.section()
