"""Pooling of the evidence of several images that show one patient, breast or study, and so are not independent.

Let the class evidence of ``n`` images be Gaussian, alike in every image, with one covariance for all classes, and let ρ be the
correlation of any two images within a class.  Then exactly::

    log p(x_1 … x_n | y) = Σ_v log p(x_v | y) / (1 + (n - 1) ρ)  + a constant common to the classes

``1 + (n - 1) ρ`` is the design effect of Kish (Survey Sampling, 1965): the images count as ``n / (1 + (n - 1) ρ)`` independent
ones.  ρ = 0 is the product of the likelihoods, ρ = 1 their geometric mean; one image keeps its own evidence.  A weighted sum of
log-likelihoods is a logarithmic opinion pool (Genest and Zidek, Statistical Science 1:114, 1986).  Real evidence is not
Gaussian, and images may depend on each other more in one class than in another: an offset ``(n - 1) / (1 + (n - 1) ρ) b_y``
makes up for the mean of that.

ρ and b are estimated together on held-out images by logistic regression in which every class has the same weight, as in
:mod:`bayescope.calibration.affine`, with a normal prior around the mean of the images, ρ = 1 and b = 0: with few groups the
answer is cautious.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from bayescope.errors import RunError
from bayescope.types import Floats, Labels

FEWEST_GROUPS, FEW_GROUPS = 5, 20
"""Groups of several images that each class must have, and below which the result comes with a warning."""
_PRIOR_SD = 0.5


@dataclass(frozen=True)
class GroupPooling:
    """How the evidence of the images of a group is added up.

    Parameters
    ----------
    by : str
        What the images of a group have in common: ``"patient"``, ``"breast"`` or ``"study"``.
    positive : str or None
        The class that a group belongs to if any of its images does, the evidence being two columns, against it and for it; None
        if all images of a group show the same class.
    correlation : float
        Correlation of the evidence of two images within a class, 0 to 1.
    offset : tuple of float
        Offset of each class, in nats; it counts more the more images there are, and not at all for one.
    groups : tuple of int
        Number of held-out groups of each class, of two images or more.
    fitted : bool
        False if the correlation is assumed.
    warning : str, default blank
        A caution for users of the ratios.
    """

    by: str
    positive: str | None
    correlation: float
    offset: tuple[float, ...]
    groups: tuple[int, ...]
    fitted: bool
    warning: str = ""

    @classmethod
    def mean(cls, by: str, positive: str | None, groups: Sequence[int]) -> Self:
        """The mean of the images, where there are too few held-out groups.

        Parameters
        ----------
        by : str
            What the images of a group have in common.
        positive : str or None
            The class that one image is enough for, if any.
        groups : sequence of int
            Number of held-out groups of each class.

        Returns
        -------
        GroupPooling
            With correlation 1 and a warning.
        """
        warning = (
            f"how far the images of a {by} depend on each other is not known: {list(groups)} held-out groups of two images or "
            f"more per class; expected at least {FEWEST_GROUPS} of each. The ratio is the mean of the images'"
        )
        return cls(by, positive, 1.0, (0.0,) * len(groups), tuple(groups), False, warning)

    @classmethod
    def fit(cls, evidence: Floats, members: Sequence[Labels], labels: Labels, by: str, positive: str | None = None) -> Self:
        """Fit on calibrated evidence of held-out images.

        Parameters
        ----------
        evidence : ndarray of shape (n, classes)
            Calibrated evidence of the images, in nats up to a constant for each image.
        members : sequence of ndarray
            Positions of the images of each group.
        labels : ndarray of shape (groups,)
            True class of each group.
        by : str
            What the images of a group have in common.
        positive : str, optional
            The class that one image is enough for.

        Returns
        -------
        GroupPooling
            The mean of the images, with a warning, if there are fewer than 5 groups of two images or more of a class.
        """
        several = [g for g, positions in enumerate(members) if len(positions) > 1]
        n_classes, of_group = evidence.shape[1], labels[several]
        counts = np.bincount(of_group, minlength=n_classes)
        groups = tuple(counts.tolist())
        if counts.min() < FEWEST_GROUPS:
            return cls.mean(by, positive, groups)
        centred = evidence - evidence.mean(axis=1, keepdims=True)
        total = np.stack([centred[members[g]].sum(axis=0) for g in several])
        others = np.array([len(members[g]) - 1.0 for g in several])[:, None]
        weight = (len(several) / (n_classes * counts[of_group]))[:, None]
        target, mean = np.eye(n_classes)[of_group], np.r_[1.0, np.zeros(n_classes)]

        def objective(theta: Floats) -> tuple[float, Floats]:
            share = 1 / (1 + others * theta[0])
            logits = share * (total + others * theta[1:])
            residual = weight * (softmax(logits, axis=1) - target)
            loss = -(weight * target * log_softmax(logits, axis=1)).sum()
            away = (theta - mean) / _PRIOR_SD
            slope = np.r_[-(residual * others * share * logits).sum(), (residual * others * share).sum(axis=0)]
            return float(loss + (away**2).sum() / 2), slope + away / _PRIOR_SD

        bounds = [(0.0, 1.0)] + [(None, None)] * n_classes
        found = minimize(objective, np.r_[0.5, np.zeros(n_classes)], jac=True, method="L-BFGS-B", bounds=bounds).x
        warning = f"dependence of the images of a {by} learned on few held-out groups: {list(groups)} per class"
        few = counts.min() < FEW_GROUPS
        return cls(by, positive, float(found[0]), tuple(found[1:].tolist()), groups, True, warning if few else "")

    def weight(self, n: int) -> float:
        """Weight of each image of a group of ``n``, 1 / (1 + (n - 1) ρ).

        Parameters
        ----------
        n : int
            Number of images, at least 1.

        Returns
        -------
        float
            From 1/n to 1.
        """
        return 1 / (1 + (n - 1) * self.correlation)

    def shares(self, evidence: Floats) -> Floats:
        """What each image of a group adds to the evidence of the group.

        Parameters
        ----------
        evidence : ndarray of shape (images, classes)
            Calibrated evidence of the images of one group, in nats.

        Returns
        -------
        ndarray of shape (images, classes)
            Nats; their sum over the images is the evidence of the group.  The offset is spread evenly.
        """
        n = len(evidence)
        return np.asarray(self.weight(n) * (evidence + (n - 1) / n * np.array(self.offset)))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and words, fit for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`.  Raises RunError if ``content`` is something else."""
        try:
            return cls(
                str(content["by"]),
                None if content["positive"] is None else str(content["positive"]),
                float(content["correlation"]),
                tuple(map(float, content["offset"])),
                tuple(map(int, content["groups"])),
                bool(content["fitted"]),
                str(content["warning"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"pooling of several images cannot be read ({error!r}); expected by, positive, correlation, offset, groups, "
                "fitted and warning. Train the model again"
            ) from None
