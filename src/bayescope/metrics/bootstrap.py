"""Bootstrap confidence intervals that keep the images of a patient together.

A resample of patients is given as weights: how often each image is drawn.  :func:`means_of` and :func:`by_image` turn means
over images, and measures of the drawn images, into measures of such weights.
"""

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from bayescope.errors import DataError
from bayescope.types import Floats, Labels

N_BOOTSTRAP = 1000
_WEIGHTS_AT_ONCE = 2**22

Kind = Literal["percentile", "basic"]
Measures = Callable[[Labels], Floats]
"""Weights ``(draws, n)`` to values ``(draws, values)``."""


@dataclass(frozen=True)
class Estimate:
    """A measured value and the ends of its 95 % interval, NaN where there is none."""

    value: float
    low: float
    high: float

    def ends(self, digits: int = 3, between: str = " to ") -> str:
        """Both ends as text, a dash where there is no interval."""
        return "–" if math.isnan(self.low) else f"{self.low:.{digits}f}{between}{self.high:.{digits}f}"

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.ends(between='–')})"


def patient_numbers(patients: Sequence[Hashable] | None, n: int) -> Labels:
    """Patients of ``n`` images numbered from 0: ``(n,)``; without ``patients`` each image is another's."""
    if patients is None:
        return np.arange(n)
    if len(patients) != n:
        raise DataError(f"{len(patients)} patients for {n} images; expected one per image")
    number = {patient: i for i, patient in enumerate(dict.fromkeys(patients))}
    return np.array([number[patient] for patient in patients])


def bootstrap(
    measures: Measures,
    n: int,
    patients: Sequence[Hashable] | None = None,
    *,
    kind: Kind = "percentile",
    seed: int = 0,
    n_bootstrap: int = N_BOOTSTRAP,
) -> list[Estimate]:
    """Values with 95 % bootstrap intervals.

    Parameters
    ----------
    measures : callable
        Weights ``(draws, n)``, how often each image is drawn, to the values ``(draws, values)``.
    n : int
        Number of images.
    patients : (n,), optional
        Patient of each image, who is drawn with all of them.  Default: each image is another patient's.
    kind : "percentile" or "basic"
        ``basic``, ``2 value - quantile``, for values that are not negative and that few images bias: these raise ECE and
        calibration loss and lower minCllr, a resample does so once more, and a percentile interval would miss the true value.
    seed, n_bootstrap : int
        Of the random draws, and their number.

    Returns
    -------
    list of Estimate
        A draw in which a value is NaN is left out of that value's interval.

    Raises
    ------
    DataError
        If ``patients`` are not ``n``.

    Examples
    --------
    >>> hit = np.arange(100) < 80
    >>> print(bootstrap(means_of(hit), 100)[0])
    0.800 (0.720–0.880)
    """
    values = measures(np.ones((1, n), dtype=np.int64))[0]
    draws = np.concatenate([measures(weights) for weights in _resamples(patient_numbers(patients, n), n_bootstrap, seed)])
    return [_estimate(float(value), column, kind) for value, column in zip(values, draws.T, strict=True)]


def means_of(values: ArrayLike) -> Measures:
    """Means over images of ``values (n,)`` or ``(n, values)``, as measures of weights."""
    columns = np.asarray(values, dtype=float).reshape(len(np.asarray(values)), -1)
    return lambda weights: weights @ columns / weights.sum(axis=1, keepdims=True)


def by_image(measures: Callable[[Labels], Floats]) -> Measures:
    """``measures`` of the indices of drawn images, ``(values,)``, as measures of weights."""
    return lambda weights: np.stack([measures(np.repeat(np.arange(len(row)), row)) for row in weights])


def _resamples(patients: Labels, n_bootstrap: int, seed: int) -> Iterator[Labels]:
    """Weights of images, some rows at a time, when as many ``patients`` as there are, numbered from 0, are drawn."""
    rng, n_patients = np.random.default_rng(seed), int(patients.max()) + 1
    rows_per_batch = max(1, _WEIGHTS_AT_ONCE // len(patients))
    for start in range(0, n_bootstrap, rows_per_batch):
        rows = min(rows_per_batch, n_bootstrap - start)
        drawn = rng.integers(n_patients, size=(rows, n_patients)) + n_patients * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * n_patients).reshape(rows, n_patients)[:, patients]


def _estimate(value: float, draws: Floats, kind: Kind) -> Estimate:
    finite = draws[np.isfinite(draws)]
    if not len(finite):
        return Estimate(value, float("nan"), float("nan"))
    low, high = (float(end) for end in np.quantile(finite, [0.025, 0.975]))
    if kind == "basic":
        low, high = max(2 * value - high, 0.0), max(2 * value - low, 0.0)
    return Estimate(value, low, high)
