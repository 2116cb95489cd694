"""What the benchmarks of trust compute themselves, against cases whose truth is known."""

import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks.rows import parse, parser
from benchmarks.store import Store
from benchmarks.temperature import fit_temperature
from benchmarks.trust import prevalence_check

LABELS = np.repeat([0, 1], [240, 400])
RATIO = np.random.default_rng(0).normal(np.where(LABELS == 1, 2, -2), 2)  # variance twice the mean: calibrated


def test_temperature_is_found_whatever_the_class_frequencies() -> None:
    labels = np.repeat([0, 1], [2000, 18000])
    ratio = np.random.default_rng(1).normal(np.where(labels == 1, 2, -2), 2)
    logits = 3 * np.stack([np.zeros(len(ratio)), ratio], axis=1)
    assert fit_temperature(logits, labels) == pytest.approx(3, rel=0.06)


@pytest.mark.slow
@pytest.mark.parametrize("prevalence", ["0.01", "0.1", "0.5"])
def test_right_probabilities_hold_at_every_prevalence_and_overstated_ones_do_not(prevalence: str) -> None:
    right, overstated = (prevalence_check(scale * RATIO, LABELS)[prevalence] for scale in (1, 4))
    for part in ("all", "lower half", "upper half"):
        _, low, high = right[part]["ratio, if perfect"]
        assert low < right[part]["ratio"] < high
    _, low, high = overstated["upper half"]["ratio, if perfect"]
    assert not low < overstated["upper half"]["ratio"] < high


def test_too_few_images_for_a_prevalence_say_so() -> None:
    assert prevalence_check(RATIO[230:250], LABELS[230:250])["0.01"] == {"drawn": None}


def test_rows_are_measured_once(tmp_path: Path) -> None:
    store = Store("some", tmp_path / "deep")
    for value in (1, 2):
        store.keep("b-0", lambda v=value: v)
    store.put("a-1", {"auc": 0.5})
    assert (
        tmp_path / "deep" / "some.jsonl"
    ).read_text() == '{"row": "a-1", "record": {"auc": 0.5}}\n{"row": "b-0", "record": 1}\n'
    assert store.rows("a-*") == {"a-1": {"auc": 0.5}}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["some.jsonl"]


def test_rows_of_few_images_are_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["trust.py", "--data", "x", "--images", "3"])
    with pytest.raises(SystemExit):
        parse(parser(""))
    monkeypatch.setattr(sys, "argv", ["trust.py", "--data", "x", "--images", "3", "--results", "y"])
    assert parse(parser("")).results == Path("y")
