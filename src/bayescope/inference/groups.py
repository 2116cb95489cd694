"""Predictions of whole patients, breasts or studies, with the share of each image in them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayescope.calibration.pooling import GroupPooling
from bayescope.data.groups import labels_of_groups
from bayescope.types import Floats, Labels

_IN_ROWS = ("posterior", "log_likelihood_ratio", "standard_error")


@dataclass(frozen=True)
class GroupPredictions:
    """Predictions of ``groups`` of images: patients, breasts or studies.

    Parameters
    ----------
    names : tuple of str
        Key of each group; blank for an image whose key is not known, a group of its own.
    members : tuple of ndarray
        Positions of the images of each group.
    class_names : tuple of str
        Names of the classes; two, ``no CLASS`` and ``CLASS``, if one image is enough for a class.
    class_prior : ndarray of shape (classes,)
        Probability of each class for a group.
    log_posterior : ndarray of shape (groups, classes)
        Log-posterior at ``class_prior``.
    log_likelihood_ratio : ndarray of shape (groups, classes)
        Log-likelihood ratio of each class against the rest, in nats.
    standard_error : ndarray of shape (groups, classes)
        Monte Carlo standard error of the ratio, in nats.
    shares : tuple of ndarray of shape (images, classes)
        What each image of a group adds to its ratio, in nats; they sum to it.
    pooling : GroupPooling
        How the evidence was added up.
    calibrated : bool
        Whether the ratios of the images are calibrated.
    passes : ndarray of shape (groups,)
        Number of network passes for all images of each group.
    """

    names: tuple[str, ...]
    members: tuple[Labels, ...]
    class_names: tuple[str, ...]
    class_prior: Floats
    log_posterior: Floats
    log_likelihood_ratio: Floats
    standard_error: Floats
    shares: tuple[Floats, ...]
    pooling: GroupPooling
    calibrated: bool
    passes: Labels

    def __len__(self) -> int:
        return len(self.names)

    @property
    def posterior(self) -> Floats:
        """Probability of each class, ``(groups, classes)``; rows sum to one."""
        return np.exp(self.log_posterior)

    @property
    def posterior_error(self) -> Floats:
        """Standard error of the posterior, p (1 - p) times that of the ratio: ``(groups, classes)``."""
        return self.posterior * (1 - self.posterior) * self.standard_error

    @property
    def warning(self) -> str:
        """A caution for users of the ratios of groups of several images; blank if there are none of such."""
        return self.pooling.warning if any(len(found) > 1 for found in self.members) else ""

    @property
    def rule(self) -> str:
        """What the class of a group is, as text."""
        return rule_of(self.pooling)

    def labels(self, labels: Labels, class_names: Sequence[str]) -> Labels:
        """True class of each group by its rule.

        Parameters
        ----------
        labels : ndarray of shape (n,)
            True class of each image.
        class_names : sequence of str
            Their names.

        Returns
        -------
        ndarray of shape (groups,)
            Positions in ``class_names`` of the groups.

        Raises
        ------
        DataError
            If the images of a group differ in class, and none is named of which one image is enough.
        """
        return labels_of_groups(labels, self.members, class_names, self.pooling.by, self.pooling.positive)

    def records(self, images: Sequence[str], warnings: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
        """One record for each group, as ``bayescope classify --by --json`` prints it.

        Parameters
        ----------
        images : sequence of str
            Names of the images.
        warnings : sequence of str, optional
            What else to know of all groups.

        Yields
        ------
        dict
            Plain numbers, those of the classes by their names.
        """
        for g, name in enumerate(self.names):
            found = [images[i] for i in self.members[g]]
            cautions = (self.pooling.warning if len(found) > 1 else "", *warnings)
            yield {
                self.pooling.by: name or None,
                "images": found,
                "class": self.class_names[int(self.log_posterior[g].argmax())],
                "rule": self.rule,
                "prevalence": self._by_class(self.class_prior),
                "posterior": self._by_class(self.posterior[g]),
                "posterior_error": self._by_class(self.posterior_error[g]),
                "log_likelihood_ratio": self._by_class(self.log_likelihood_ratio[g]),
                "standard_error": self._by_class(self.standard_error[g]),
                "shares": {image: self._by_class(share) for image, share in zip(found, self.shares[g], strict=True)},
                "correlation": self.pooling.correlation,
                "effective_images": len(found) * self.pooling.weight(len(found)),
                "calibrated": self.calibrated and (self.pooling.fitted or len(found) == 1),
                "warnings": [text for text in cautions if text],
                "passes": int(self.passes[g]),
            }

    def rows(self, images: Sequence[str]) -> Iterator[dict[str, Any]]:
        """A row for each image, as ``bayescope classify --by --csv`` writes it.

        Parameters
        ----------
        images : sequence of str
            Names of the images.

        Yields
        ------
        dict
            The group and its prediction, the same for all of its images, and the share of the image.
        """
        for record in self.records(images):
            values = {f"{what} {name}": record[what][name] for what in _IN_ROWS for name in self.class_names}
            for image, share in record["shares"].items():
                shares = {f"share {name}": share[name] for name in self.class_names}
                yield (
                    {self.pooling.by: record[self.pooling.by] or "", "image": image, "class": record["class"]} | values | shares
                )

    def _by_class(self, values: Floats) -> dict[str, float]:
        return dict(zip(self.class_names, values.tolist(), strict=True))


def rule_of(pooling: GroupPooling) -> str:
    """What the class of a group is, as text.

    Parameters
    ----------
    pooling : GroupPooling
        How its images are added up.

    Returns
    -------
    str
        For example ``"a patient is malignant if any image is"``.
    """
    if pooling.positive is None:
        return f"all images of a {pooling.by} show the same class"
    return f"a {pooling.by} is {pooling.positive} if any image is"
