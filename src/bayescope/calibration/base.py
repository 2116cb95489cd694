"""The interface of all calibrations of likelihood ratios, and the code they share.

Raw evidence sums hundreds of pixels as if they were independent, and so overstates. A calibration is fitted on held-out images
and turns raw class evidence into calibrated log-likelihood ratios and posteriors. A new kind is one module with a class that
satisfies :class:`Calibration`, and one line in ``KINDS`` of :mod:`bayescope.calibration`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from scipy.special import expit, logit

from bayescope.evidence.level_weights import LevelWeights
from bayescope.types import Floats, Labels

FEW_IMAGES = 20
"""Below this many images on one side a calibration comes with a warning."""

StandardError = Callable[[Floats], Floats]
"""Monte Carlo error, nats ``(n,)``, of contrasts of raw evidence given by their gradients ``(n, classes)``."""


@dataclass(frozen=True)
class CalibratedRatios:
    """Of ``n`` images at one class prior, all ``(n, classes)``.

    ``log_posterior``; ``log_likelihood_ratio`` of each class against the rest and its Monte Carlo ``standard_error``, nats;
    ``posterior_error``: that of the posterior, p (1 - p) times that of the ratio, NaN where the ratios of several classes are
    calibrated apart.
    """

    log_posterior: Floats
    log_likelihood_ratio: Floats
    standard_error: Floats
    posterior_error: Floats


class Calibration(Protocol):
    """A fitted calibration: an immutable value.

    ``kind``: its word in the configuration; ``fewest_images``: held-out images that each class, and the rest, must have, or
    nothing is calibrated; ``is_additive``: whether calibrated ratios are sums over pixels and noise levels, as evidence maps
    need.

    ``images``: held-out images of each class it rests on; ``calibrated``: false if it leaves evidence as it is; ``warning``:
    a caution for users of the ratios, or blank.
    """

    kind: ClassVar[str]
    fewest_images: ClassVar[int]
    is_additive: ClassVar[bool]

    @property
    def images(self) -> tuple[int, ...]: ...

    @property
    def calibrated(self) -> bool: ...

    @property
    def warning(self) -> str: ...

    @classmethod
    def fit(cls, evidence: Floats, labels: Labels, class_prior: Floats, n_copies: int = 1) -> Self:
        """Fit on raw evidence ``(n, classes)``, nats, of held-out images of ``labels (n,)``, some of every class.

        Each image is given in ``n_copies``.  ``class_prior (classes,)``: in which the other classes are mixed where ratios are
        calibrated.
        """
        ...

    def calibrate(self, evidence: Floats, class_prior: Floats, error: StandardError) -> CalibratedRatios:
        """Calibrated ratios and posterior of images.

        Parameters
        ----------
        evidence : ndarray of shape (n, classes)
            Raw evidence, in nats.
        class_prior : ndarray of shape (classes,)
            Probability of each class.
        error : callable
            Monte Carlo error of contrasts of the evidence, from their gradients ``(n, classes)``.

        Returns
        -------
        CalibratedRatios
            Ratios, posterior and their errors.
        """
        ...

    def class_evidence(self, evidence: Floats) -> Floats:
        """Calibrated evidence ``(n, classes)``, nats up to a constant common to the classes; raw if only ratios are."""
        ...

    def stopping_offset(self, class_prior: Floats) -> Floats | None:
        """Offset of the raw evidence that ranks the classes as the posterior does.

        Parameters
        ----------
        class_prior : ndarray of shape (classes,)
            Probability of each class.

        Returns
        -------
        ndarray of shape (classes,) or None
            None if there is no such offset: images are then scored in full.
        """
        ...

    def calibrated_weights(self, level_weights: LevelWeights) -> LevelWeights:
        """The level weights whose evidence is the calibrated one; ``level_weights`` itself if the calibration is not
        additive."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and words, fit for JSON."""
        ...

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`.  Raises RunError if ``content`` is something else."""
        ...


def no_error(gradient: Floats) -> Floats:
    """A Monte Carlo error of zero, where none is needed.

    Parameters
    ----------
    gradient : ndarray of shape (n, classes)
        Gradients of contrasts.

    Returns
    -------
    ndarray of shape (n,)
        Zeros.
    """
    return np.zeros(len(gradient))


def post_test_probability(log_ratio: Floats, prevalence: Floats | float) -> Floats:
    """Probability after a test, by Bayes' rule in odds.

    Parameters
    ----------
    log_ratio : ndarray
        Log-likelihood ratios, in nats.
    prevalence : ndarray or float
        Probability before the test; broadcasts against ``log_ratio``.

    Returns
    -------
    ndarray
        Probability after the test.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(post_test_probability(np.array(3.0), 0.006)), 3)
    0.108
    """
    return np.asarray(expit(log_ratio + logit(prevalence)))


def warning_of_fit(images: tuple[int, ...], fewest: int, is_uninformative: bool) -> str:
    """A warning about a calibration, or blank.

    Parameters
    ----------
    images : tuple of int
        Held-out images of each class.
    fewest : int
        Number of images on the smaller side.
    is_uninformative : bool
        Whether the ratios do not increase with the class.

    Returns
    -------
    str
        The warning.
    """
    if is_uninformative:
        return (
            f"the likelihood ratios carry no information: on the validation images {list(images)} they do not rise with the "
            "class, and were set to one"
        )
    return f"calibrated on few validation images: {list(images)} per class" if fewest < FEW_IMAGES else ""


def too_few_images(images: tuple[int, ...], kind: str, fewest: int) -> str:
    """The warning of ratios that stay raw for lack of held-out images.

    Parameters
    ----------
    images : tuple of int
        Held-out images of each class.
    kind : str
        Kind of calibration.
    fewest : int
        Fewest images of a class or the rest that it needs.

    Returns
    -------
    str
        The warning.
    """
    return (
        f"uncalibrated likelihood ratios: {list(images)} validation images per class; {kind} calibration expects at least "
        f"{fewest} of each class and of the rest. Raw ratios overstate; give a larger validation split"
    )
