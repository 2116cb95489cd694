"""The table of the published method shows both estimators and Bayescope's row."""

from pathlib import Path

import pytest
from benchmarks.paper import published_config
from benchmarks.store import Store
from benchmarks.tables.paper import section

from benchmarks import store


def test_the_table_has_both_estimators_and_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "RESULTS", tmp_path)
    assert section() == []
    found = {"auc": 0.7, "auc_interval": [0.7, 0.6, 0.8], "accuracy": 0.6, "images": 30, "passes": 700.0, "ms": 9000.0}
    cost = {"steps": 300, "training": {"processor": 600.0, "elapsed": 700.0}}
    Store("paper").put("chest-64-0", {"flow": found, "bound_few": found, "bound": found | {"images": 624}} | cost)
    ours = {"test": {"auc": 0.95, "accuracy": 0.9}, "passes": 32, "test_ms": 60.0}
    Store("sizes").put("chest-64-bayescope-0", ours | cost)
    rows = [line for line in section() if line.startswith("|")]
    assert len(rows) == 2 + 4
    assert len({line.count("|") for line in rows}) == 1
    assert "0.700 (0.600–0.800)" in rows[2]


def test_the_published_recipe_is_kept_but_for_size_steps_and_levels() -> None:
    config = published_config(7, 1)
    assert (config.net.kind, config.size, config.seed, config.training.steps) == ("paper", 64, 1, 7)
    assert (config.training.loss, config.training.optimizer, config.training.decay) == ("epsilon", "adam", "step")
    assert config.evidence.level_weights == "bound"
