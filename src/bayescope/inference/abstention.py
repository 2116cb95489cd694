"""Selective classification: a confidence threshold that bounds the error rate among the images that are classified.

Geifman & El-Yaniv (2017); learn then test, Angelopoulos et al. (2021).  Answer if the confidence, the posterior's
maximum, exceeds a threshold.  With probability 1 - δ over the held-out images, the share of errors among the
answered is at most the risk asked for, for new images exchangeable with the held-out ones.  Above the j-th largest
held-out confidence the number of errors is binomial, so Clopper-Pearson bounds the risk there.  Coverages fixed
beforehand are tested from the smallest up, each at δ, until one fails: from three times as many images as would do
if none were an error, or half of the images, if that is fewer and enough; that asks of the confidence only that
the risk, as the threshold falls, crosses the one asked for once."""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import beta

from bayescope.errors import ConfigError, DataError
from bayescope.types import Floats, Labels

_N_TESTS = 20
_FIRST_TEST, _FIRST_SHARE = 3, 0.5


@dataclass(frozen=True)
class Abstention:
    """Answer where the confidence exceeds ``threshold``: 0 answers always, 1 never.

    ``risk``: largest share of errors among the answered, broken with a probability of at most ``delta``; ``coverage``: share
    answered of the ``images`` held out.
    """

    threshold: float
    risk: float
    delta: float
    coverage: float
    images: int

    def accepts(self, posterior: Floats) -> np.ndarray:
        """Which of the images of ``posterior (n, classes)`` are answered: bool, ``(n,)``."""
        return posterior.max(axis=1) > self.threshold

    @property
    def warning(self) -> str:
        """What to say if the risk cannot be promised at any threshold, or nothing."""
        if self.threshold < 1:
            return ""
        return (
            f"no threshold keeps the risk below {self.risk:g} with certainty {1 - self.delta:g} on {self.images} held-out "
            "images: no prediction is guaranteed. Allow a larger risk, or give more validation images"
        )


@dataclass(frozen=True)
class RiskCoverage:
    """Share of errors among the most confident images, for every share answered: both ``(n,)``, coverage rising."""

    coverage: Floats
    risk: Floats

    @property
    def area(self) -> float:
        """AURC: mean risk over coverages (Geifman, Uziel & El-Yaniv 2019); smaller is better."""
        return float(self.risk.mean())


def fit_abstention(posterior: Floats, labels: Labels, risk: float = 0.05, delta: float = 0.05) -> Abstention:
    """The threshold of widest coverage whose risk is guaranteed, from held-out images ``(n, classes)``, ``(n,)``.

    Raises ConfigError unless risk and delta lie between 0 and 1, DataError without images.
    """
    check_share("risk", risk)
    check_share("delta", delta)
    check_images(posterior, labels)
    confidence, wrong = posterior.max(axis=1), posterior.argmax(axis=1) != labels
    falling = np.r_[np.sort(confidence)[::-1], 0.0]
    n = len(labels)
    without_error = math.ceil(math.log(delta) / math.log1p(-risk))
    first = min(n, _FIRST_TEST * without_error, max(without_error, math.ceil(_FIRST_SHARE * n)))
    found = Abstention(1.0, risk, delta, 0.0, n)
    for n_tested in np.linspace(first, n, _N_TESTS).round().astype(int):
        threshold = float(falling[n_tested])
        answered = confidence > threshold
        n_answered = int(answered.sum())
        if n_answered < first:  # equal confidences are answered together or not at all
            continue
        if risk_bound(int(wrong[answered].sum()), n_answered, delta) > risk:
            break
        found = replace(found, threshold=threshold, coverage=float(answered.mean()))
    return found


def risk_bound(n_errors: int, n_images: int, delta: float) -> float:
    """Clopper-Pearson: the rate of errors is below it with a probability of at least 1 - delta; 1 if all are errors."""
    return float(beta.ppf(1 - delta, n_errors + 1, n_images - n_errors)) if n_errors < n_images else 1.0


def risk_coverage(posterior: Floats, labels: Labels) -> RiskCoverage:
    """Risk of answering only the most confident images; equal confidences in the mean over their orders."""
    confidence, wrong = posterior.max(axis=1), posterior.argmax(axis=1) != labels
    _, tied = np.unique(-confidence, return_inverse=True)
    expected_wrong = (np.bincount(tied, wrong) / np.bincount(tied))[np.sort(tied)]
    answered = np.arange(1, len(labels) + 1)
    return RiskCoverage(answered / len(labels), np.cumsum(expected_wrong) / answered)


def check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ConfigError(f"{name} {value:g}; expected more than 0 and less than 1")


def check_images(posterior: Floats, labels: Labels) -> None:
    if not len(labels) or len(posterior) != len(labels):
        raise DataError(f"{len(posterior)} posteriors and {len(labels)} labels; expected as many of both, at least one")
