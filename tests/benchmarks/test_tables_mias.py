"""The table of mini-MIAS pools the folds, and says how often a map points into the circle."""

from pathlib import Path

import pytest
from benchmarks.store import Store
from benchmarks.tables.mias import section

from benchmarks import store


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(store, "RESULTS", tmp_path)
    return Store("mias")


def fold(probability: list[float], label: list[int], patient: list[str]) -> dict[str, object]:
    part = {"probability": probability, "label": label, "patient": patient}
    cost = {"training": {"processor": 90.0, "elapsed": 100.0}, "steps": 10, "passes": 64, "ms": 50.0}
    return {"val": part, "test": part, **cost}


def test_nothing_is_shown_before_anything_is_measured(rows: Store) -> None:
    assert section() == []


def test_folds_are_pooled_rather_than_averaged(rows: Store) -> None:
    rows.put("films-bayescope-0", fold([0.1, 0.2, 0.6], [0, 0, 1], ["a", "b", "c"]))
    rows.put("films-bayescope-1", fold([0.7, 0.8, 0.9], [0, 1, 1], ["d", "e", "f"]))
    [line] = [line for line in section() if line.startswith("| Bayescope |")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1] == "2"
    assert cells[2] == "0.889"  # 8 of 9 pairs of all six images; each fold alone has 1
    assert cells[3].startswith("0.889 (")


def test_maps_are_compared_with_the_circles_share_of_the_breast(rows: Store) -> None:
    for k in (0, 1):
        rows.put(
            f"films-bayescope-{k}",
            fold([0.1, 0.9, 0.4, 0.6], [0, 1, 1, 0], ["a", "b", "c", "d"])
            | {
                "maps": {"inside": [True, k == 0], "share": [0.1, 0.2]},
                "novelty": {"chest X-rays": 0.9, "breast ultrasound": 1.0},
            },
        )
    text = " ".join(section())
    assert "on 75% of" in text
    assert "chance it would be on 15%" in text
    assert "chest X-rays 0.900 ± 0.000" in text
