"""Class names are ordered as people order them, and the order is the same whatever order they came in."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayescope.data.tables.class_names import sort_class_names


@pytest.mark.parametrize(
    "names",
    [
        [str(k) for k in range(1, 12)],
        ["-1", "0.5", "2", "10"],
        ["grade 2", "grade 10", "other"],
        ["BI-RADS 1-3", "BI-RADS 4-6"],
        ["benign", "malignant"],
        ["2", "10", "none"],
    ],
)
def test_natural_order(names: list[str]) -> None:
    assert sort_class_names(reversed(names)) == tuple(names)


@given(st.lists(st.text(alphabet="-+.0129 aB\u00b2\u0663", max_size=5)), st.randoms())
def test_one_order_of_any_names(names: list[str], shuffler: random.Random) -> None:
    shuffled = list(names)
    shuffler.shuffle(shuffled)
    assert sort_class_names(shuffled) == sort_class_names(names)
    assert set(sort_class_names(names)) == set(names)
