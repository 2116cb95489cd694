"""Prediction sets and abstention together: guarantees that do not rely on the classifier's probabilities.

They hold for new images exchangeable with the held-out ones: drawn from the same patients' population at the same
prevalence, one image a patient, and used for nothing else."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from bayescope.errors import RunError
from bayescope.inference.abstention import Abstention, fit_abstention
from bayescope.inference.conformal import ConformalSets, fit_conformal_sets
from bayescope.types import Floats, Labels


@dataclass(frozen=True)
class Decision:
    """Of ``n`` images: ``sets (n, classes)`` bool; ``answered (n,)`` bool, None where no risk can be promised.

    ``posterior (n, classes)``: at the prior they were decided at.
    """

    posterior: Floats
    sets: np.ndarray
    answered: np.ndarray | None

    def describe(self, class_names: tuple[str, ...], i: int) -> str:
        """The set of image ``i``, and whether the classifier abstains."""
        members = ", ".join(self.members(class_names, i)) or "none"
        return members if self.answered is None or self.answered[i] else f"{members} (abstained)"

    def members(self, class_names: tuple[str, ...], i: int) -> list[str]:
        """Names of the classes in the set of image ``i``."""
        return [name for name, member in zip(class_names, self.sets[i], strict=True) if member]

    def measured(self, labels: Labels) -> dict[str, Any]:
        """How it went with images of ``labels (n,)``: plain numbers, NaN where there is no such image."""
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
    """Prediction sets and abstention, fitted on held-out images at one ``prior (classes,)``."""

    sets: ConformalSets
    abstention: Abstention
    prior: tuple[float, ...]

    def __call__(self, posterior: Floats) -> Decision:
        """Of images whose ``posterior (n, classes)`` is at that prior."""
        answered = None if self.abstention.warning else self.abstention.accepts(posterior)
        return Decision(posterior, self.sets.sets(posterior), answered)

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
                f"decisions cannot be read ({error!r}); expected prediction sets and abstention. Score the images "
                "again: `bayescope train DATA --out RUN --resume`"
            ) from None


def fit_decisions(posterior: Floats, labels: Labels, miscoverage: float, risk: float, prior: Floats) -> Decisions:
    """Both, from held-out images ``(n, classes)``, ``(n,)``, at ``prior``.  Raises as :func:`fit_conformal_sets`."""
    sets, abstention = fit_conformal_sets(posterior, labels, miscoverage), fit_abstention(posterior, labels, risk)
    return Decisions(sets, abstention, tuple(prior.tolist()))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan
