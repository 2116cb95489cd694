"""Predictions of images: Bayes' rule on calibrated evidence, with the uncalibrated evidence for comparison.

log p(y|x) = log p(x|y) + log p(y) - log Σ_y' p(x|y') p(y')
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from bayescope.calibration import Calibration
from bayescope.calibration.base import StandardError, no_error
from bayescope.errors import ConfigError
from bayescope.evidence.level_weights import log_likelihood_ratio
from bayescope.inference.novelty import NoveltyResult
from bayescope.inference.trust import Finding, TrustResult
from bayescope.inference.trust_tests import TRUST_TESTS
from bayescope.types import Floats, Labels

if TYPE_CHECKING:
    from bayescope.inference.model import LikelihoodModel

_PRIOR_TOLERANCE = 1e-3
_OF_IMAGES = (
    "evidence",
    "log_posterior",
    "log_likelihood_ratio",
    "standard_error",
    "posterior_error",
    "raw_log_likelihood_ratio",
    "passes",
)


@dataclass(frozen=True)
class Predictions:
    """Predictions of ``n`` images.

    Parameters
    ----------
    evidence : ndarray of shape (n, classes)
        Raw log-likelihood under each class, in nats up to a constant common to the classes.
    log_posterior : ndarray of shape (n, classes)
        Calibrated log-posterior at ``class_prior``.
    log_likelihood_ratio : ndarray of shape (n, classes)
        Calibrated log-likelihood ratio of each class against the rest, in nats.
    standard_error : ndarray of shape (n, classes)
        Monte Carlo standard error of ``log_likelihood_ratio``, in nats.
    posterior_error : ndarray of shape (n, classes)
        Standard error of the posterior, p (1 - p) times that of the ratio; NaN where the ratios of several classes are
        calibrated separately.
    raw_log_likelihood_ratio : ndarray of shape (n, classes)
        The ratio before calibration, in nats.
    class_prior : ndarray of shape (classes,)
        Prior probability of each class.
    passes : ndarray of shape (n,)
        Number of network passes for each image.
    calibrated : bool
        Whether the ratios are calibrated.
    trust : mapping of str to TrustResult
        Results of the trust tests that were run, by their names in :data:`bayescope.inference.trust_tests.TRUST_TESTS`.
    """

    evidence: Floats
    log_posterior: Floats
    log_likelihood_ratio: Floats
    standard_error: Floats
    posterior_error: Floats
    raw_log_likelihood_ratio: Floats
    class_prior: Floats
    passes: NDArray[np.int64]
    calibrated: bool
    trust: Mapping[str, TrustResult] = field(default_factory=dict)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Concatenate predictions made at one prior.

        Parameters
        ----------
        parts : sequence of Predictions
            Predictions of consecutive images.

        Returns
        -------
        Predictions
            Predictions of all images.
        """
        return cls(
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in _OF_IMAGES},
            class_prior=parts[0].class_prior,
            calibrated=parts[0].calibrated,
            trust={name: type(first).joined([part.trust[name] for part in parts]) for name, first in parts[0].trust.items()},
        )

    def subset(self, indices: Labels) -> Self:
        """Predictions of some of the images, without the results of trust tests.

        Parameters
        ----------
        indices : ndarray of shape (m,)
            Positions of the images.

        Returns
        -------
        Predictions
            Those at ``indices``, in this order.
        """
        return replace(self, **{name: getattr(self, name)[indices] for name in _OF_IMAGES}, trust={})

    @property
    def mean_passes(self) -> float:
        """Network passes per image on average."""
        return float(self.passes.mean())

    @property
    def posterior(self) -> Floats:
        """Probability of each class, ``(n, classes)``, rows sum to one."""
        return np.exp(self.log_posterior)

    def posterior_at(self, class_prior: Floats) -> Floats:
        """Posterior at another prevalence, from the same evidence.

        Parameters
        ----------
        class_prior : ndarray of shape (classes,)
            Probability of each class before the image.

        Returns
        -------
        ndarray of shape (n, classes)
            Probability of each class; rows sum to one.
        """
        return np.asarray(softmax(self.log_posterior - np.log(self.class_prior) + np.log(class_prior), axis=1))

    @property
    def novelty(self) -> NoveltyResult | None:
        """Result of the novelty test, ``trust["novelty"]``; None if it was not run."""
        found = self.trust.get("novelty")
        return found if isinstance(found, NoveltyResult) else None

    def findings(self, i: int) -> dict[str, Finding]:
        """Results of the trust tests for one image.

        Parameters
        ----------
        i : int
            Position of the image.

        Returns
        -------
        dict
            The values and texts to show, by name of the test.
        """
        return {name: result.finding(i) for name, result in self.trust.items()}

    def records(
        self,
        model: "LikelihoodModel",
        names: Sequence[str],
        remarks: Sequence[Sequence[str]] | None = None,
        seen: Sequence[str] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """One record for each image, as ``bayescope classify --json`` prints it.

        Parameters
        ----------
        model
            The model that made the predictions.
        names
            Of the images, ``(n,)``.
        remarks
            Warnings of each image, ``(n,)`` (default: none); see :class:`bayescope.inference.read.ModelInput`.
        seen
            Split of the training data that each image was in, ``"train"`` or ``"val"``, or blank: ``(n,)`` (default: blank).

        Yields
        ------
        dict
            Plain numbers, those of the classes by their names; None for what the model cannot estimate.

        Examples
        --------
        >>> images = read_for_model(model, [Path("a.png")])  # doctest: +SKIP
        >>> predictions = model.classify(images.pixels, trust_tests=True)  # doctest: +SKIP
        >>> list(predictions.records(model, images.names, images.remarks))  # doctest: +SKIP
        """
        decided, calibration = model.decide(self), model.calibration
        for i, name in enumerate(names):
            findings = self.findings(i).values()
            warnings = (*(remarks[i] if remarks else ()), calibration.warning, *(finding.warning for finding in findings))
            yield {
                "image": name,
                "class": model.class_names[int(self.posterior[i].argmax())],
                "prevalence": model.by_class(self.class_prior),
                "posterior": model.by_class(self.posterior[i]),
                "posterior_error": model.by_class(self.posterior_error[i]),
                "log_likelihood_ratio": model.by_class(self.log_likelihood_ratio[i]),
                "standard_error": model.by_class(self.standard_error[i]),
                "raw_log_likelihood_ratio": model.by_class(self.raw_log_likelihood_ratio[i]),
                "calibrated": calibration.calibrated,
                "calibration_images": model.by_class(calibration.images),
                "prediction_set": None if decided is None else decided.members(model.class_names, i),
                "abstained": None if decided is None or decided.answered is None else not decided.answered[i],
                **_trust_record(findings),
                "warnings": [text for text in warnings if text],
                "seen": (seen[i] if seen else "") or None,
                "passes": int(self.passes[i]),
            }


def predict_from_evidence(
    evidence: Floats,
    class_prior: Floats,
    error: StandardError,
    passes: NDArray[np.int64],
    calibration: Calibration,
    trust: Mapping[str, TrustResult] | None = None,
) -> Predictions:
    """Bayes' rule on raw evidence ``(n, classes)``; ``error``: of raw contrasts, see :func:`log_likelihood_ratio`."""
    raw, _ = log_likelihood_ratio(evidence, class_prior, no_error)
    found = calibration.calibrate(evidence, class_prior, error)
    return Predictions(
        evidence,
        found.log_posterior,
        found.log_likelihood_ratio,
        found.standard_error,
        found.posterior_error,
        raw,
        class_prior,
        passes,
        calibration.calibrated,
        trust or {},
    )


def _trust_record(findings: Iterable[Finding]) -> dict[str, Any]:
    """The entries of all trust tests, None for those that were not run."""
    record: dict[str, Any] = {key: None for test in TRUST_TESTS.values() for key in test.keys}
    for finding in findings:
        record.update(finding.record)
    return record


ClassPrior = Sequence[float] | Floats | Mapping[str, float]
"""Probability of each class: numbers in the order of the classes, or by their names."""


def check_prior(class_prior: ClassPrior, class_names: tuple[str, ...]) -> Floats:
    """``class_prior`` as an array ``(classes,)`` that sums to one.  Raises ConfigError otherwise."""
    names = ", ".join(class_names)
    if isinstance(class_prior, Mapping):
        given = {str(name): value for name, value in class_prior.items()}
        if set(given) != set(class_names):
            raise ConfigError(f"prevalences of {', '.join(given)}; expected one for each of: {names}")
        class_prior = [given[name] for name in class_names]
    prior = np.asarray(class_prior, dtype=float)
    if prior.shape != (len(class_names),):
        raise ConfigError(f"{prior.size} prevalences; expected {len(class_names)}, one for each of: {names}")
    if not (prior > 0).all() or abs(prior.sum() - 1) > _PRIOR_TOLERANCE:
        raise ConfigError(
            f"prevalences {prior.tolist()} sum to {prior.sum():g}; expected positive numbers that sum to 1, in the order: "
            f"{names}"
        )
    return prior / prior.sum()
