"""The benchmark of exported graphs: calls take turns, and differences are those of the ratios."""

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from benchmarks.export import differences, in_turns
from benchmarks.tables import export as table


def test_calls_take_turns_and_the_median_counts() -> None:
    order: list[str] = []

    def call(name: str, seconds: float) -> Any:
        return lambda: (order.append(name), time.sleep(seconds))

    found = in_turns({"slow": call("slow", 0.02), "fast": call("fast", 0.001)}, 0.1)
    assert order[:6] == ["slow", "fast"] * 3
    assert found["slow"] > 0.02 > found["fast"] > 0.001


def test_differences_of_ratios_and_of_passes() -> None:
    one = SimpleNamespace(log_likelihood_ratio=np.array([[1.0, -1.0], [2.0, -2.0]]), passes=np.array([4, 6]))
    other = SimpleNamespace(log_likelihood_ratio=np.array([[1.0, -1.0], [2.5, -2.25]]), passes=np.array([4, 8]))
    assert differences(one, other) == {"nats": pytest.approx(0.5), "other_passes": 1}  # type: ignore[arg-type]


def test_a_row_of_the_table() -> None:
    row = {
        "runtime": "onnx",
        "mib": 4.16,
        "passes_per_second": {"1": 201.3, "8": 438.0, "64": 547.7},
        "images_per_second": 105.3,
        "in_full": {"nats": 1.8e-05, "other_passes": 0},
        "early": {"nats": 2.0e-05, "other_passes": 0},
    }
    assert table._cells(row) == ["onnx", "4.2", "201", "438", "548", "105.3", "1.8e-05", "2e-05", 0]
    assert len(table._cells(row)) == len(table.HEADER)
