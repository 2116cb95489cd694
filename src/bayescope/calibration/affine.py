"""Bias-corrected temperature scaling of class evidence (Alexandari, Kundaje & Shrikumar 2020), for any number of classes.

``a evidence(x|y) + b_y``: one slope and an offset per class, so that any two classes' log-ratio is affine in the raw one and
Bayes' rule still holds at every prevalence.  The slope is common to the classes, since evidence is known up to a constant
common to them.  Two classes: the affine map of least Cllr (Brümmer & du Preez 2006), logistic regression in which both sides
have the same weight, whatever their numbers; more classes: multinomial regression with equal class weights.  A share of
1/(n + 2) of every image counts for the other classes (Platt 2000): the slope stays finite and the ratios moderate with few
images.  Images may still be scored sequentially: a comparison of posteriors is one of raw evidence with another offset.
"""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from bayescope.calibration.base import CalibratedRatios, StandardError, warning_of_fit
from bayescope.errors import RunError
from bayescope.evidence.level_weights import LevelWeights, log_likelihood_ratio
from bayescope.types import Floats, Labels

_TINY = 1e-9


@dataclass(frozen=True)
class BiasCorrectedTemperatureScaling:
    """Affine map of the evidence; a :class:`bayescope.calibration.base.Calibration`.

    Parameters
    ----------
    slope : float
        Factor of the evidence of all classes, at least 0.
    offset : tuple of float
        Offset of each class, in nats.
    images : tuple of int
        Number of held-out images of each class.
    calibrated : bool
        False if it leaves evidence unchanged.
    warning : str, default blank
        A caution for users of the ratios.
    """

    kind: ClassVar[str] = "affine"
    fewest_images: ClassVar[int] = 5
    is_additive: ClassVar[bool] = True

    slope: float
    offset: tuple[float, ...]
    images: tuple[int, ...]
    calibrated: bool
    warning: str = ""

    def __call__(self, evidence: Floats) -> Floats:
        """Calibrated evidence ``(n, classes)``, nats up to a constant common to the classes."""
        return self.slope * evidence + np.array(self.offset)

    @classmethod
    def fit(cls, evidence: Floats, labels: Labels, class_prior: Floats, n_copies: int = 1) -> Self:
        """Fit on raw evidence of held-out images; does not depend on ``class_prior``.

        Parameters
        ----------
        evidence : ndarray of shape (n, classes)
            Raw evidence, in nats.
        labels : ndarray of shape (n,)
            True class of each image.
        class_prior : ndarray of shape (classes,)
            Probability of each class.
        n_copies : int, default 1
            Number of augmented copies of each image among the rows.

        Returns
        -------
        BiasCorrectedTemperatureScaling
            The calibration.
        """
        n, n_classes = evidence.shape
        counts = np.bincount(labels, minlength=n_classes)
        truth, doubt = np.eye(n_classes)[labels], 1 / (n / n_copies + 2)
        target = truth * (1 - doubt) + (1 - truth) * doubt / (n_classes - 1)
        weight = 1 / (n_classes * counts[labels])[:, None]
        centred = evidence - evidence.mean(axis=1, keepdims=True)
        spread = float(centred.std()) or 1.0
        standard = centred / spread

        def objective(theta: Floats) -> tuple[float, Floats]:
            logits = theta[0] * standard + theta[1:]
            residual = weight * (softmax(logits, axis=1) - target)
            loss = -(weight * target * log_softmax(logits, axis=1)).sum()
            return float(loss), np.r_[(residual * standard).sum(), residual.sum(axis=0)]

        bounds = [(0.0, None)] + [(None, None)] * n_classes
        start = np.r_[1.0, np.zeros(n_classes)]
        found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-14, "gtol": 1e-9}).x
        slope, images = float(found[0] / spread), tuple((counts // n_copies).tolist())
        return cls(slope, tuple(found[1:].tolist()), images, True, warning_of_fit(images, min(images), slope == 0))

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
        calibrated = self(evidence)
        log_posterior = log_softmax(calibrated + np.log(class_prior), axis=1)
        ratio, standard_error = log_likelihood_ratio(calibrated, class_prior, lambda gradient: self.slope * error(gradient))
        probability = np.exp(log_posterior)
        return CalibratedRatios(log_posterior, ratio, standard_error, probability * (1 - probability) * standard_error)

    def class_evidence(self, evidence: Floats) -> Floats:
        """Calibrated evidence ``(n, classes)``, nats up to a constant common to the classes."""
        return self(evidence)

    def stopping_offset(self, class_prior: Floats) -> Floats | None:
        """Offset of the raw evidence that ranks the classes as the posterior does.

        Parameters
        ----------
        class_prior : ndarray of shape (classes,)
            Probability of each class.

        Returns
        -------
        ndarray of shape (classes,)
            The offset, in nats.
        """
        return (np.array(self.offset) + np.log(class_prior)) / max(self.slope, _TINY)

    def calibrated_weights(self, level_weights: LevelWeights) -> LevelWeights:
        """Level weights that give calibrated evidence.

        Parameters
        ----------
        level_weights : LevelWeights
            Weights that give raw evidence.

        Returns
        -------
        LevelWeights
            The weights times the slope, with calibrated biases.
        """
        return LevelWeights(self.slope * level_weights.weights, self(level_weights.class_bias))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and words, fit for JSON."""
        return {"kind": self.kind, **asdict(self)}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`.  Raises RunError if ``content`` is something else."""
        try:
            return cls(
                float(content["slope"]),
                tuple(map(float, content["offset"])),
                tuple(map(int, content["images"])),
                bool(content["calibrated"]),
                str(content["warning"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"calibration of evidence cannot be read ({error!r}); expected slope, offset, images, calibrated and warning. "
                "Train the model again"
            ) from None


def identity_calibration(images: tuple[int, ...], warning: str) -> BiasCorrectedTemperatureScaling:
    """A calibration that leaves evidence unchanged.

    Parameters
    ----------
    images : tuple of int
        Number of held-out images of each class.
    warning : str
        Why it is not calibrated.

    Returns
    -------
    BiasCorrectedTemperatureScaling
        Slope 1 and offsets 0.
    """
    return BiasCorrectedTemperatureScaling(1.0, (0.0,) * len(images), images, False, warning)
