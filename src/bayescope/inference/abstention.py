"""Selective classification: a confidence threshold that bounds the error rate among the images that are classified.

Geifman & El-Yaniv (2017); learn then test, Angelopoulos et al. (2021).  A prediction is made if the confidence, the
largest posterior, exceeds a threshold.  With probability 1 - δ over the held-out images, the share of errors among the
predictions made is at most the requested risk, for new images exchangeable with the held-out ones.  Above the j-th
largest held-out confidence the number of errors is binomial, so Clopper-Pearson bounds the risk there.  Coverages fixed
beforehand are tested in increasing order, each at level δ, until one fails.  The first is three times the number of
images that would suffice without an error, or half of the images, if that is fewer and sufficient.  This assumes only
that the risk crosses the requested one once as the threshold decreases.
"""

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
    """A confidence threshold below which no prediction is made.

    Parameters
    ----------
    threshold : float
        Predict where the largest posterior exceeds it: 0 always, 1 never.
    risk : float
        Guaranteed largest share of errors among the predictions made.
    delta : float
        Probability that the guarantee fails.
    coverage : float
        Share of the held-out images above the threshold.
    images : int
        Number of held-out images.
    """

    threshold: float
    risk: float
    delta: float
    coverage: float
    images: int

    def accepts(self, posterior: Floats) -> np.ndarray:
        """The images for which a prediction is made.

        Parameters
        ----------
        posterior : ndarray of shape (n, classes)
            Posterior probabilities.

        Returns
        -------
        ndarray of bool, shape (n,)
            True where the classifier does not abstain.
        """
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
    """Share of errors among the most confident images, by the share of images classified.

    Parameters
    ----------
    coverage : ndarray of shape (n,)
        Share of images classified, increasing.
    risk : ndarray of shape (n,)
        Share of errors among these.
    """

    coverage: Floats
    risk: Floats

    @property
    def area(self) -> float:
        """AURC: mean risk over coverages (Geifman, Uziel & El-Yaniv 2019); smaller is better."""
        return float(self.risk.mean())


def fit_abstention(posterior: Floats, labels: Labels, risk: float = 0.05, delta: float = 0.05) -> Abstention:
    """Fit the threshold of largest coverage whose risk is guaranteed.

    Parameters
    ----------
    posterior : ndarray of shape (n, classes)
        Posterior probabilities of held-out images.
    labels : ndarray of shape (n,)
        True class of each image.
    risk : float, default 0.05
        Largest share of errors among the predictions made.
    delta : float, default 0.05
        Probability that the guarantee may fail.

    Returns
    -------
    Abstention
        The threshold; 1 if none can be guaranteed.

    Raises
    ------
    ConfigError
        If risk or delta is not between 0 and 1.
    DataError
        If there are no images.

    Examples
    --------
    >>> import numpy as np
    >>> confidence = np.linspace(0.99, 0.6, 200)
    >>> posterior = np.stack([confidence, 1 - confidence], axis=1)
    >>> labels = (np.arange(200) >= 180).astype(int)  # the least confident tenth is misclassified
    >>> rule = fit_abstention(posterior, labels, risk=0.05)
    >>> rule.warning, 0.5 < rule.coverage < 1
    ('', True)
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
    """Upper confidence bound of an error rate (Clopper-Pearson).

    Parameters
    ----------
    n_errors : int
        Number of errors.
    n_images : int
        Number of images.
    delta : float
        Probability that the bound is too small.

    Returns
    -------
    float
        The bound; 1 if all images are errors.

    Examples
    --------
    >>> round(risk_bound(0, 59, 0.05), 3)
    0.05
    """
    return float(beta.ppf(1 - delta, n_errors + 1, n_images - n_errors)) if n_errors < n_images else 1.0


def risk_coverage(posterior: Floats, labels: Labels) -> RiskCoverage:
    """Risk of classifying only the most confident images, averaged over the orders of equal confidences.

    Parameters
    ----------
    posterior : ndarray of shape (n, classes)
        Posterior probabilities of held-out images.
    labels : ndarray of shape (n,)
        True class of each image.

    Returns
    -------
    RiskCoverage
        Risk at each coverage.
    """
    confidence, wrong = posterior.max(axis=1), posterior.argmax(axis=1) != labels
    _, tied = np.unique(-confidence, return_inverse=True)
    expected_wrong = (np.bincount(tied, wrong) / np.bincount(tied))[np.sort(tied)]
    answered = np.arange(1, len(labels) + 1)
    return RiskCoverage(answered / len(labels), np.cumsum(expected_wrong) / answered)


def check_share(name: str, value: float) -> None:
    """Check that a setting is between 0 and 1.

    Parameters
    ----------
    name : str
        Name of the setting.
    value : float
        Its value.

    Raises
    ------
    ConfigError
        If it is not.
    """
    if not 0 < value < 1:
        raise ConfigError(f"{name} {value:g}; expected more than 0 and less than 1")


def check_images(posterior: Floats, labels: Labels) -> None:
    """Check that there are images, and as many posteriors as labels.

    Parameters
    ----------
    posterior : ndarray of shape (n, classes)
        Posterior probabilities of held-out images.
    labels : ndarray of shape (n,)
        True class of each image.

    Raises
    ------
    DataError
        If there are not.
    """
    if not len(labels) or len(posterior) != len(labels):
        raise DataError(f"{len(posterior)} posteriors and {len(labels)} labels; expected as many of both, at least one")
