"""A pytest plugin: the tests of a mutant are run the shortest first, and those left out that would take too long in all.

An example that fails is enough: the profile ``mutants`` of Hypothesis does not look for a shorter one.
"""

import gc
import json
import os
from pathlib import Path

import pytest
from hypothesis import Phase, settings

SECONDS = 20.0
"""CPU seconds that the tests of one mutant may take."""

settings.register_profile("mutants", settings.get_profile("ci"), phases=[Phase.explicit, Phase.generate])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort, and deselect, by the durations that mutmut measured."""
    stats = Path("mutmut-stats.json")
    if os.environ.get("MUTANT_UNDER_TEST", "") in ("", "stats", "list_all_tests", "fail") or not stats.is_file():
        return
    durations = json.loads(stats.read_text())["duration_by_test"]
    items.sort(key=lambda item: durations.get(item.nodeid, 0.0))
    spent, kept = 0.0, 0
    for item in items:
        spent += durations.get(item.nodeid, 0.0)
        kept += kept == 0 or spent <= SECONDS
    config.hook.pytest_deselected(items=items[kept:])
    del items[kept:]


def pytest_collection_finish() -> None:
    """Spare the processes forked for the mutants the collection of what was imported before."""
    gc.freeze()
