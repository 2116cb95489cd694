"""Isotonic regression of log-likelihood ratios: pool adjacent violators, linear between the pooled values."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import logit

from bayescope.types import Floats


@dataclass(frozen=True)
class IsotonicMap:
    """A piecewise linear, increasing map, constant beyond its ends.

    Parameters
    ----------
    raw : tuple of float
        Increasing raw log-ratios, in nats.
    calibrated : tuple of float
        Calibrated log-ratios at these, in nats.
    """

    raw: tuple[float, ...]
    calibrated: tuple[float, ...]

    def __call__(self, raw: Floats) -> Floats:
        """Calibrate log-likelihood ratios.

        Parameters
        ----------
        raw : ndarray
            Raw ratios, in nats.

        Returns
        -------
        ndarray
            Calibrated ratios, of the same shape.
        """
        return np.interp(raw, self.raw, self.calibrated)


def fit_isotonic(raw: Floats, positive: np.ndarray, copies: int = 1) -> IsotonicMap:
    """Fit an increasing map by pooling adjacent violators.

    Parameters
    ----------
    raw : ndarray of shape (n,)
        Raw log-likelihood ratios, in nats.
    positive : ndarray of bool, shape (n,)
        Whether each image is of the class.
    copies : int, default 1
        Number of copies of each image; one misleading image is added at either end, in as many copies.

    Returns
    -------
    IsotonicMap
        The map.
    """
    low, high, one = np.full(copies, raw.min()), np.full(copies, raw.max()), np.ones(copies, dtype=bool)
    knots, ratios = pooled_log_ratio(np.r_[low, raw, high], np.r_[one, positive, ~one])
    return IsotonicMap(tuple(knots.tolist()), tuple(ratios.tolist()))


def pooled_log_ratio(raw: Floats, positive: np.ndarray) -> tuple[Floats, Floats]:
    """Log-likelihood ratios of pooled adjacent violators.

    No increasing map has a smaller loss on these images, whatever the proper scoring rule.

    Parameters
    ----------
    raw : ndarray of shape (n,)
        Raw ratios, in nats.
    positive : ndarray of bool, shape (n,)
        Whether each image is of the class.

    Returns
    -------
    tuple of ndarray, both of shape (values,)
        Increasing raw values without repetition, and the log-ratio of the pool of each, in nats; infinite at an end where one
        side is absent.
    """
    knots, place, counts = np.unique(raw, return_inverse=True, return_counts=True)
    frequency = isotonic_regression(np.bincount(place, positive) / counts, weights=counts).x
    with np.errstate(divide="ignore"):
        return knots, logit(frequency.clip(0, 1)) - logit(positive.mean())
