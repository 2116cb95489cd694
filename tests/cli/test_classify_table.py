"""The tables of commands, cell by cell, of predictions written down."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bayescope.cli import classify_table, evaluate
from bayescope.cli.tables import Table
from bayescope.inference.abstention import Abstention
from bayescope.inference.conformal import ConformalSets
from bayescope.inference.decisions import Decision, Decisions
from bayescope.inference.trust import Finding
from report_data import everything

FOUND, SHOWN = everything()
NAMES = tuple(f"{i}.png" for i in range(len(FOUND.images)))


def rows(table: Table, short: bool = False) -> list[list[str]]:
    return [[(cell.short if short else cell.text).plain for cell in row] for row in table.rows]


def test_each_image_has_the_numbers_of_its_most_probable_class() -> None:
    predictions = FOUND.predictions
    decided = Decision(predictions.posterior, predictions.posterior >= 0.3, None)
    model = SimpleNamespace(**vars(FOUND.model) | {"decisions": None, "decide": lambda predictions: decided})
    seen = ["train" if i == 1 else "" for i in range(len(NAMES))]
    table = classify_table.image_table(NAMES, model, predictions, seen)  # type: ignore[arg-type]
    assert [column.head for column in table.columns][-2:] == ["passes", "seen in"]
    for i, (name, class_name, probability, ratio, members, novelty, passes, split) in enumerate(rows(table)):
        k = predictions.posterior[i].argmax()
        assert (name, class_name, passes, split) == (NAMES[i], model.class_names[k], str(predictions.passes[i]), seen[i])
        assert probability.startswith(f"{100 * predictions.posterior[i, k]:.1f}")
        assert members == (", ".join(n for n, p in zip(model.class_names, predictions.posterior[i], strict=True) if p >= 0.3))
        error = predictions.standard_error[i, k]
        assert ratio == f"{predictions.log_likelihood_ratio[i, k]:+.2f}" + (f" ± {error:.2f}" if error == error else "")
        assert predictions.novelty
        assert f"{predictions.novelty.p_value[i]:.2f}"[:4] in novelty or "unlike" in novelty
    assert [column.short for column in table.columns] == ["", "", "p, %", "LLR ± SE", "", "novel p", "n", "seen"]
    unseen = classify_table.image_table(NAMES, model, predictions, [""] * len(NAMES))  # type: ignore[arg-type]
    assert len(unseen.columns) == len(table.columns) - 1
    assert {len(row) for row in unseen.rows} == {len(unseen.columns)}
    assert "prevalence " in table.caption
    kind = "calibrated" if model.calibration.calibrated else "UNCALIBRATED"
    assert f"LLR: {kind} log-likelihood ratio" in table.caption


@pytest.mark.parametrize(
    ("error", "expected"), [(0.034, ("97.1 ± 3.4 %", "97.1")), (float("nan"), ("97.1 %", "97.1"))], ids=["error", "none"]
)
def test_a_probability_is_in_percent_with_its_error(error: float, expected: tuple[str, str]) -> None:
    assert classify_table._percent(0.971, error) == expected


@pytest.mark.parametrize(("threshold", "promised"), [(0.7, True), (1.0, False)])
def test_what_sets_and_abstention_promise_is_told(threshold: float, promised: bool) -> None:
    sets = ConformalSets((0.2, 0.3), 0.05, True, (20, 20))
    decisions = Decisions(sets, Abstention(threshold, 0.03, 0.05, 0.8, 40), (0.5, 0.5))
    told = classify_table._promise(SimpleNamespace(decisions=decisions))  # type: ignore[arg-type]
    assert "contains the true class in 95 % of the images" in told
    assert ("at most 3 % errors" in told) == promised
    assert classify_table._promise(SimpleNamespace(decisions=None)) == ""  # type: ignore[arg-type]


def test_a_set_in_short_is_its_only_class_or_how_many_it_has() -> None:
    sets = np.array([[True, False, False], [True, True, False], [False, False, False], [False, True, False]])
    names = ("a", "b", "c")
    decided = Decision(np.ones((4, 3)) / 3, sets, np.array([True, True, True, False]))
    assert [classify_table._set_in_short(decided, names, i) for i in range(4)] == ["a", "2 of 3", "0 of 3", "abstains"]
    always = replace(decided, answered=None)
    assert classify_table._set_in_short(always, names, 3) == "b"


def test_a_finding_is_told_and_marked_where_it_warns() -> None:
    usual = Finding({}, "p = 0.50", "0.50", "caption")
    assert classify_table._finding(usual) == ("p = 0.50", "0.50")
    odd = replace(usual, cell="p = 0.004, unlike them", short_cell="0.004 !", warning="unlike the training images")
    long, short = classify_table._finding(odd)
    assert (str(long), str(short)) == ("p = 0.004, unlike them", "0.004 !")
    assert "red" in str(long.style)  # type: ignore[union-attr]
    assert "red" in str(short.style)  # type: ignore[union-attr]
    assert classify_table._finding(None) == ("not tested", "–")


@pytest.mark.parametrize("positive", [None, "malignant"])
def test_tables_of_an_evaluation_hold_each_measure_once(positive: str | None) -> None:
    found = replace(FOUND, positive=positive)
    names = found.model.class_names if positive is None else (positive,)
    expected = [[f"{what}, {name}", str(value)] for name in names for what, value in found.by_class[name].items()]
    table = evaluate.class_table(found)
    assert rows(table) == expected
    assert table.title == ("Each class against the rest" if positive is None else "malignant against the rest")
    for name, count in found.class_counts.items():
        assert f"{count} {name}" in table.caption
    measures = evaluate.measures_table("title", found.measures, ideal_observer=found.measures)
    assert rows(measures) == [[name, str(value), str(value)] for name, value in found.measures.items()]
    assert [column.head for column in measures.columns][2:] == ["ideal observer"]


def test_the_confusion_table_has_true_classes_as_rows() -> None:
    class Other:
        model = FOUND.model
        confusion = {  # noqa: RUF012
            name: {other: 10 * i + j for j, other in enumerate(FOUND.model.class_names)}
            for i, name in enumerate(FOUND.model.class_names)
        }

    given: Any = Other()
    table = evaluate._confusion_table(given)
    assert [column.head for column in table.columns][1:] == [f"called {name}" for name in FOUND.model.class_names]
    assert rows(table) == [
        [name, *(str(10 * i + j) for j in range(len(FOUND.model.class_names)))]
        for i, name in enumerate(FOUND.model.class_names)
    ]


@pytest.mark.parametrize("calibrated", [True, False])
def test_the_table_of_trust_shows_what_is_expected_beside_what_is_measured(calibrated: bool) -> None:
    (name, of_class), *_ = FOUND.trust.items()
    table = evaluate._trust_table(name, of_class, calibrated)
    assert rows(table) == [[what, str(row.measured), str(row.expected_if_calibrated)] for what, row in of_class.items()]
    assert ("UNCALIBRATED" in table.title) != calibrated
