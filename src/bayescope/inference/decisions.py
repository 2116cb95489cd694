"""Prediction sets and abstention together: guarantees that do not rely on the classifier's probabilities.

They hold for new images exchangeable with the held-out ones: drawn from the same population of patients at the same
prevalence, one image per patient, and used for nothing else.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from bayescope.errors import RunError
from bayescope.inference.abstention import Abstention, fit_abstention
from bayescope.inference.conformal import ConformalSets, fit_conformal_sets
from bayescope.types import Floats, Labels


@dataclass(frozen=True)
class Decision:
    """Prediction sets and abstention of ``n`` images.

    Parameters
    ----------
    posterior : ndarray of shape (n, classes)
        Posterior at the prior they were fitted at.
    sets : ndarray of bool, shape (n, classes)
        Whether each class is in the prediction set.
    answered : ndarray of bool, shape (n,), or None
        False where the classifier abstains; None if no risk can be guaranteed.
    """

    posterior: Floats
    sets: np.ndarray
    answered: np.ndarray | None

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Decisions of consecutive images as one; abstention only if all ``parts`` have it."""
        answered = [part.answered for part in parts if part.answered is not None]
        return cls(
            np.concatenate([part.posterior for part in parts]),
            np.concatenate([part.sets for part in parts]),
            np.concatenate(answered) if len(answered) == len(parts) else None,
        )

    def describe(self, class_names: tuple[str, ...], i: int) -> str:
        """The prediction set of an image, and whether the classifier abstains, as text.

        Parameters
        ----------
        class_names : tuple of str
            Names of the classes.
        i : int
            Position of the image.

        Returns
        -------
        str
            For example ``"benign, malignant (abstained)"``.
        """
        members = ", ".join(self.members(class_names, i)) or "none"
        return members if self.answered is None or self.answered[i] else f"{members} (abstained)"

    def members(self, class_names: tuple[str, ...], i: int) -> list[str]:
        """Names of the classes in the prediction set of an image.

        Parameters
        ----------
        class_names : tuple of str
            Names of the classes.
        i : int
            Position of the image.

        Returns
        -------
        list of str
            May be empty.
        """
        return [name for name, member in zip(class_names, self.sets[i], strict=True) if member]

    def measured(self, labels: Labels) -> dict[str, Any]:
        """Measured rates on labelled images.

        Parameters
        ----------
        labels : ndarray of shape (n,)
            True class of each image.

        Returns
        -------
        dict
            Coverage of the sets by class, their mean size, the share of images classified, and the share of errors among
            these; NaN where there is no such image.
        """
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
    """Prediction sets and abstention, fitted on held-out images.

    Parameters
    ----------
    sets : ConformalSets
        Prediction sets.
    abstention : Abstention
        Abstention.
    prior : tuple of float
        Prior probability of each class at which both were fitted.
    """

    sets: ConformalSets
    abstention: Abstention
    prior: tuple[float, ...]

    def __call__(self, posterior: Floats) -> Decision:
        """Apply both to images.

        Parameters
        ----------
        posterior : ndarray of shape (n, classes)
            Posterior probabilities at ``prior``.

        Returns
        -------
        Decision
            Sets and abstention of each image.
        """
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
    """Fit prediction sets and abstention on held-out images.

    Parameters
    ----------
    posterior : ndarray of shape (n, classes)
        Posterior probabilities of held-out images.
    labels : ndarray of shape (n,)
        True class of each image.
    miscoverage : float
        Largest probability that a set does not contain the true class.
    risk : float
        Largest share of errors among the predictions made.
    prior : ndarray of shape (classes,)
        Prior at which ``posterior`` was computed.

    Returns
    -------
    Decisions
        Both.

    Raises
    ------
    ConfigError, DataError
        As for :func:`fit_conformal_sets`.
    """
    sets, abstention = fit_conformal_sets(posterior, labels, miscoverage), fit_abstention(posterior, labels, risk)
    return Decisions(sets, abstention, tuple(prior.tolist()))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan
