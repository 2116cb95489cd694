"""Isotonic calibration of each class's log-likelihood ratio against the rest.

Pool adjacent violators, linear between the pooled values.  One misleading image is added at either end, as the ends would be
infinite otherwise.  Several classes are calibrated separately, and their posteriors normalised.  So no offset of raw evidence
ranks the classes as the posterior does, images are scored in full, and evidence maps add up to the raw ratio.

The raw ratios must come from images on which nothing else was fitted: see :mod:`bayescope.calibration.cross_fit`.
"""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np

from bayescope.calibration.base import CalibratedRatios, StandardError, no_error, post_test_probability, warning_of_fit
from bayescope.calibration.isotonic_map import IsotonicMap, fit_isotonic
from bayescope.errors import RunError
from bayescope.evidence.level_weights import LevelWeights, log_likelihood_ratio
from bayescope.types import Floats, Labels


@dataclass(frozen=True)
class IsotonicCalibration:
    """One increasing map per class; a :class:`bayescope.calibration.base.Calibration`.

    Parameters
    ----------
    maps : tuple of IsotonicMap
        Map of each class against the rest.
    images : tuple of int
        Number of held-out images of each class.
    calibrated : bool, default True
        Always true.
    warning : str
        A caution for users of the ratios, or blank.
    """

    kind: ClassVar[str] = "isotonic"
    fewest_images: ClassVar[int] = 20
    is_additive: ClassVar[bool] = False

    maps: tuple[IsotonicMap, ...]
    images: tuple[int, ...]
    calibrated: bool = True
    warning: str = ""

    def __call__(self, raw: Floats) -> Floats:
        """Calibrated log-likelihood ratios of each class against the rest, from raw ones: nats, ``(n, classes)``."""
        return np.stack([calibrate(column) for calibrate, column in zip(self.maps, raw.T, strict=True)], axis=1)

    @classmethod
    def fit(cls, evidence: Floats, labels: Labels, class_prior: Floats, n_copies: int = 1) -> Self:
        """Fit on raw evidence of held-out images.

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
        IsotonicCalibration
            The calibration.
        """
        raw, _ = log_likelihood_ratio(evidence, class_prior, no_error)
        return cls.fit_ratios(raw, labels, n_copies)

    @classmethod
    def fit_ratios(cls, raw: Floats, labels: Labels, n_copies: int = 1) -> Self:
        """Fit on raw log-likelihood ratios.

        Parameters
        ----------
        raw : ndarray of shape (n, classes)
            Ratio of each class against the rest, in nats.
        labels : ndarray of shape (n,)
            True class of each image.
        n_copies : int, default 1
            Number of augmented copies of each image among the rows.

        Returns
        -------
        IsotonicCalibration
            The calibration.
        """
        counts = np.bincount(labels, minlength=raw.shape[1]) // n_copies
        fewest = int(np.minimum(counts, len(labels) // n_copies - counts).min())
        images = tuple(counts.tolist())
        maps = tuple(fit_isotonic(raw[:, k], labels == k, n_copies) for k in range(raw.shape[1]))
        return cls(maps, images, True, warning_of_fit(images, fewest, is_uninformative=False))

    def posterior(self, raw: Floats, class_prior: Floats) -> Floats:
        """Post-test probability of each class.

        Parameters
        ----------
        raw : ndarray of shape (n, classes)
            Raw log-likelihood ratios, in nats.
        class_prior : ndarray of shape (classes,)
            Probability of each class.

        Returns
        -------
        ndarray of shape (n, classes)
            Probabilities; those of more than two classes are normalised.
        """
        probability = post_test_probability(self(raw), class_prior)
        return probability / probability.sum(axis=1, keepdims=True)

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
        raw, raw_error = log_likelihood_ratio(evidence, class_prior, error)
        standard_error = (self(raw + raw_error) - self(raw - raw_error)) / 2
        posterior = self.posterior(raw, class_prior)
        follows_ratio = len(class_prior) == 2
        posterior_error = posterior * (1 - posterior) * standard_error if follows_ratio else np.full_like(raw, np.nan)
        return CalibratedRatios(np.log(posterior), self(raw), standard_error, posterior_error)

    def class_evidence(self, evidence: Floats) -> Floats:
        """The raw evidence: only ratios are calibrated.

        Parameters
        ----------
        evidence : ndarray of shape (n, classes)
            Raw evidence, in nats.

        Returns
        -------
        ndarray of shape (n, classes)
            ``evidence`` itself.
        """
        return evidence

    def stopping_offset(self, class_prior: Floats) -> Floats | None:
        """None: no offset of raw evidence ranks the classes as the posterior does.

        Parameters
        ----------
        class_prior : ndarray of shape (classes,)
            Probability of each class.

        Returns
        -------
        None
            Images are scored in full.
        """
        return None

    def calibrated_weights(self, level_weights: LevelWeights) -> LevelWeights:
        """``level_weights`` itself: calibrated ratios are no sum over noise levels."""
        return level_weights

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and words, fit for JSON."""
        return {
            "kind": self.kind,
            "maps": [asdict(item) for item in self.maps],
            "images": list(self.images),
            "calibrated": self.calibrated,
            "warning": self.warning,
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`.  Raises RunError if ``content`` is something else."""
        try:
            maps = tuple(
                IsotonicMap(tuple(map(float, item["raw"])), tuple(map(float, item["calibrated"]))) for item in content["maps"]
            )
            images = tuple(int(count) for count in content["images"])
            return cls(maps, images, bool(content["calibrated"]), str(content["warning"]))
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"calibration of likelihood ratios cannot be read ({error!r}); expected maps, images, calibrated and warning. "
                "Train the model again"
            ) from None
