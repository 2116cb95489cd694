"""Bootstrap confidence intervals that keep the images of a patient together."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from bayescope.errors import DataError
from bayescope.types import Floats, Labels

N_BOOTSTRAP = 1000


@dataclass(frozen=True)
class Estimate:
    """A measured value and the ends of its 95 % bootstrap interval: percentile of :func:`measure`, basic of ``reliability``."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f}–{self.high:.3f})"


def resampled_patients(patients: Sequence[Hashable] | None, n: int, rng: np.random.Generator) -> Iterator[Labels]:
    """Endlessly, indices of the ``n`` images of as many patients drawn with replacement as there are.

    ``patients (n,)``: whose image each is (default: each another's).  Raises DataError if they are not ``n``.
    """
    groups = patient_numbers(patients, n)
    members = np.split(np.argsort(groups, kind="stable"), np.cumsum(np.bincount(groups))[:-1])
    while True:
        yield np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])


def patient_numbers(patients: Sequence[Hashable] | None, n: int) -> Labels:
    """Patients of ``n`` images numbered from 0: ``(n,)``; without ``patients`` each image is another's."""
    if patients is None:
        return np.arange(n)
    if len(patients) != n:
        raise DataError(f"{len(patients)} patients for {n} images; expected one per image")
    number = {patient: i for i, patient in enumerate(dict.fromkeys(patients))}
    return np.array([number[patient] for patient in patients])


def bootstrap(
    measures: Callable[[Labels], Floats],
    n: int,
    patients: Sequence[Hashable] | None = None,
    seed: int = 0,
    n_bootstrap: int = N_BOOTSTRAP,
) -> list[Estimate]:
    """Values that are not negative, with 95 % basic bootstrap intervals over patients (default: over the ``n`` images).

    ``measures(indices)`` gives the values of those images, ``(values,)``.  Basic, ``2 value - quantile``, and not percentile:
    few images raise ECE and calibration loss and lower minCllr, resampling does so once more, and a percentile interval
    would lie beyond the truth.  See :func:`expected_if_calibrated` for what few images alone do.  A resample in which a
    value is NaN is left out of that value's interval.
    """
    resamples = islice(resampled_patients(patients, n, np.random.default_rng(seed)), n_bootstrap)
    values = measures(np.arange(n))
    draws = np.stack([measures(chosen) for chosen in resamples])
    return [_estimate(float(value), column) for value, column in zip(values, draws.T, strict=True)]


def _estimate(value: float, draws: Floats) -> Estimate:
    finite = draws[np.isfinite(draws)]
    if not len(finite):
        return Estimate(value, float("nan"), float("nan"))
    low, high = 2 * value - np.quantile(finite, [0.975, 0.025])
    return Estimate(value, max(float(low), 0.0), max(float(high), 0.0))
