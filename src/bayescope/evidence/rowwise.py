"""Sums over the last axis that do not depend on the other rows, to the last bit.

A matrix product may add up a row in another order when there are more rows; a prediction must not depend on the other images of
its batch.
"""

import numpy as np

from bayescope.types import Floats


def weighted_sum(values: Floats, weights: Floats) -> Floats:
    """``Σ_m values[…, m] weights[m]``: of ``values (…, m)`` and ``weights (m,)``, ``(…)``."""
    return np.asarray((values * weights).sum(axis=-1))


def weighted_sums(values: Floats, weights: Floats) -> Floats:
    """``Σ_m values[n, m] weights[k, m]``: of ``values (n, m)`` and ``weights (k, m)``, ``(n, k)``."""
    return weighted_sum(values[:, None, :], weights)
