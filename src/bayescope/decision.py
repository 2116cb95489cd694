"""When to answer, and with how many classes: guarantees that need no trust in the classifier's probabilities.

They speak of new images exchangeable with the held-out ones: drawn from the same patients' population at the same
prevalence, one image a patient, and used for nothing else.

- **Abstention** (Geifman & El-Yaniv 2017; learn then test, Angelopoulos et al. 2021): answer if the confidence, the
  posterior's maximum, exceeds a threshold.  With probability 1 - δ over the held-out images, the share of errors among the
  answered is at most the risk asked for.  Above the j-th largest held-out confidence the number of errors is binomial, so
  Clopper-Pearson bounds the risk there.  Coverages fixed beforehand are tested from the smallest up, each at δ, until one
  fails: from three times as many images as would do if none were an error, or half of the images, if that is fewer and
  enough; that asks of the confidence only that the risk, as the threshold falls, crosses the one asked for once.
- **Prediction sets** (Vovk, Gammerman & Shafer 2005): the classes that are not too improbable; they hold the true class with
  probability at least 1 - miscoverage, on average over images, or within every class (class-conditional).
"""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from scipy.stats import beta

from bayescope.errors import ConfigError, DataError, RunError
from bayescope.shapes import Floats, Labels

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

    def answers(self, posterior: Floats) -> np.ndarray:
        """Which of the images of ``posterior (n, classes)`` are answered: bool, ``(n,)``."""
        return posterior.max(axis=1) > self.threshold

    @property
    def warning(self) -> str:
        """What to say if the risk cannot be promised at any threshold, or nothing."""
        if self.threshold < 1:
            return ""
        return (
            f"no threshold keeps the risk below {self.risk:g} with certainty {1 - self.delta:g} on {self.images} held-out "
            "images: no answer is vouched for. Allow a larger risk, or give more validation images"
        )


@dataclass(frozen=True)
class ConformalSets:
    """A class belongs to an image's set if its posterior is at least ``least_posterior (classes,)``.

    0 where too few held-out images leave nothing to exclude the class by; ``images``: how many it rests on, per class.
    """

    least_posterior: tuple[float, ...]
    miscoverage: float
    class_conditional: bool
    images: tuple[int, ...]

    def sets(self, posterior: Floats) -> np.ndarray:
        """Membership of each class: bool, ``(n, classes)``.  A set may be empty: no class is probable enough."""
        return posterior >= np.array(self.least_posterior)


@dataclass(frozen=True)
class RiskCoverage:
    """Share of errors among the most confident images, for every share answered: both ``(n,)``, coverage rising."""

    coverage: Floats
    risk: Floats

    @property
    def area(self) -> float:
        """AURC: mean risk over coverages (Geifman, Uziel & El-Yaniv 2019); smaller is better."""
        return float(self.risk.mean())


@dataclass(frozen=True)
class Decided:
    """Of ``n`` images: ``sets (n, classes)`` bool; ``answered (n,)`` bool, None where no risk can be promised.

    ``posterior (n, classes)``: at the prior they were decided at.
    """

    posterior: Floats
    sets: np.ndarray
    answered: np.ndarray | None

    def in_words(self, class_names: tuple[str, ...], i: int) -> str:
        """The set of image ``i``, and whether its answer is withheld."""
        members = ", ".join(self.members(class_names, i)) or "none"
        return members if self.answered is None or self.answered[i] else f"{members} (withheld)"

    def members(self, class_names: tuple[str, ...], i: int) -> list[str]:
        """Names of the classes in the set of image ``i``."""
        return [name for name, member in zip(class_names, self.sets[i], strict=True) if member]

    def measured(self, labels: Labels) -> dict[str, Any]:
        """How it went with images of ``labels (n,)``: plain numbers, NaN where there is no image to tell."""
        covered = self.sets[np.arange(len(labels)), labels]
        wrong = self.posterior.argmax(axis=1) != labels
        by_class = [_mean(covered[labels == k]) for k in range(self.sets.shape[1])]
        return {
            "set coverage": by_class,
            "classes in a set": _mean(self.sets.sum(axis=1)),
            "answered": math.nan if self.answered is None else _mean(self.answered),
            "wrong among answered": math.nan if self.answered is None else _mean(wrong[self.answered]),
        }


@dataclass(frozen=True)
class Decisions:
    """What may be said beside the probabilities, fitted on held-out images at one ``prior (classes,)``."""

    sets: ConformalSets
    abstention: Abstention
    prior: tuple[float, ...]

    def __call__(self, posterior: Floats) -> Decided:
        """Of images whose ``posterior (n, classes)`` is at that prior."""
        answered = None if self.abstention.warning else self.abstention.answers(posterior)
        return Decided(posterior, self.sets.sets(posterior), answered)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, fit for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`.  Raises RunError if ``content`` is something else."""
        try:
            sets = ConformalSets(**content["sets"])
            sets = replace(sets, least_posterior=tuple(sets.least_posterior), images=tuple(sets.images))
            return cls(sets, Abstention(**content["abstention"]), tuple(content["prior"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise RunError(
                f"decisions cannot be read ({error!r}); expected prediction sets and abstention. Weigh the images "
                "again: `bayescope train DATA --out RUN --resume`"
            ) from None


def fit_decisions(posterior: Floats, labels: Labels, miscoverage: float, risk: float, prior: Floats) -> Decisions:
    """Both, from held-out images ``(n, classes)``, ``(n,)``, at ``prior``.  Raises as :func:`fit_conformal_sets`."""
    sets, abstention = fit_conformal_sets(posterior, labels, miscoverage), fit_abstention(posterior, labels, risk)
    return Decisions(sets, abstention, tuple(prior.tolist()))


def fit_abstention(posterior: Floats, labels: Labels, risk: float = 0.05, delta: float = 0.05) -> Abstention:
    """The threshold of widest coverage whose risk is guaranteed, from held-out images ``(n, classes)``, ``(n,)``.

    Raises ConfigError unless risk and delta lie between 0 and 1, DataError without images.
    """
    _check_share("risk", risk)
    _check_share("delta", delta)
    _check_images(posterior, labels)
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


def fit_conformal_sets(
    posterior: Floats, labels: Labels, miscoverage: float = 0.1, class_conditional: bool = True
) -> ConformalSets:
    """Split-conformal sets from held-out images ``(n, classes)``, ``(n,)``.

    Raises ConfigError unless miscoverage lies between 0 and 1, DataError without images.
    """
    _check_share("miscoverage", miscoverage)
    _check_images(posterior, labels)
    n_classes = posterior.shape[1]
    of_truth = posterior[np.arange(len(labels)), labels]
    rests_on = [of_truth[labels == k] if class_conditional else of_truth for k in range(n_classes)]
    least = tuple(_least_conforming(values, miscoverage) for values in rests_on)
    return ConformalSets(least, miscoverage, class_conditional, tuple(np.bincount(labels, minlength=n_classes).tolist()))


def risk_coverage(posterior: Floats, labels: Labels) -> RiskCoverage:
    """Risk of answering only the most confident images; equal confidences in the mean over their orders."""
    confidence, wrong = posterior.max(axis=1), posterior.argmax(axis=1) != labels
    _, tied = np.unique(-confidence, return_inverse=True)
    expected_wrong = (np.bincount(tied, wrong) / np.bincount(tied))[np.sort(tied)]
    answered = np.arange(1, len(labels) + 1)
    return RiskCoverage(answered / len(labels), np.cumsum(expected_wrong) / answered)


def _least_conforming(of_truth: Floats, miscoverage: float) -> float:
    excluded = len(of_truth) - math.ceil((len(of_truth) + 1) * (1 - miscoverage) - 1e-9)
    return float(np.sort(of_truth)[excluded]) if excluded >= 0 else 0.0


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan


def _check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ConfigError(f"{name} {value:g}; expected more than 0 and less than 1")


def _check_images(posterior: Floats, labels: Labels) -> None:
    if not len(labels) or len(posterior) != len(labels):
        raise DataError(f"{len(posterior)} posteriors and {len(labels)} labels; expected as many of both, at least one")
