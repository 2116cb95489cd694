"""Rates of sets and abstention on four images, counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from bayescope.inference.decisions import Decision

POSTERIOR = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8]])
SETS = np.array([[True, False], [True, True], [False, True], [False, True]])
LABELS = np.array([0, 0, 1, 0])


def test_errors_are_counted_among_the_answered() -> None:
    """The second image is wrong and abstained from, the fourth wrong and answered."""
    decided = Decision(POSTERIOR, SETS, np.array([True, False, True, True]))
    found = decided.measured(LABELS)
    assert found["set coverage"] == pytest.approx([2 / 3, 1])
    assert found["classes in a set"] == pytest.approx(5 / 4)
    assert found["answered"] == pytest.approx(3 / 4)
    assert found["wrong among answered"] == pytest.approx(1 / 3)
    without = replace(decided, answered=None).measured(LABELS)
    assert np.isnan([without["answered"], without["wrong among answered"]]).all()
    none = replace(decided, answered=np.zeros(4, bool)).measured(np.zeros(4, int))
    assert none["answered"] == 0
    assert np.isnan(none["wrong among answered"])
    assert np.isnan(none["set coverage"][1])
