"""Sums by rows: the numbers of a matrix product, whatever the other rows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bayescope.evidence.rowwise import weighted_sum, weighted_sums


@given(n=st.integers(1, 40), m=st.integers(0, 30), k=st.integers(1, 9), seed=st.integers(0, 99))
def test_sums_are_products_and_the_same_for_each_row_alone(n: int, m: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, weights = rng.normal(size=(n, m)), rng.normal(size=(k, m))
    found = weighted_sums(values, weights)
    np.testing.assert_allclose(found, values @ weights.T, atol=1e-12)
    np.testing.assert_array_equal(found[:, 0], weighted_sum(values, weights[0]))
    for i in range(n):
        assert np.array_equal(weighted_sums(values[i : i + 1], weights)[0], found[i])
