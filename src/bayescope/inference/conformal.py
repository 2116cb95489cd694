"""Split-conformal prediction sets (Vovk, Gammerman & Shafer 2005).

The classes that are not too improbable; the set holds the true class with probability at least 1 - miscoverage, on
average over images, or within every class (class-conditional), for new images exchangeable with the held-out ones."""

import math
from dataclasses import dataclass

import numpy as np

from bayescope.inference.abstention import check_images, check_share
from bayescope.types import Floats, Labels


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


def fit_conformal_sets(
    posterior: Floats, labels: Labels, miscoverage: float = 0.1, class_conditional: bool = True
) -> ConformalSets:
    """Split-conformal sets from held-out images ``(n, classes)``, ``(n,)``.

    Raises ConfigError unless miscoverage lies between 0 and 1, DataError without images.
    """
    check_share("miscoverage", miscoverage)
    check_images(posterior, labels)
    n_classes = posterior.shape[1]
    of_truth = posterior[np.arange(len(labels)), labels]
    rests_on = [of_truth[labels == k] if class_conditional else of_truth for k in range(n_classes)]
    least = tuple(_least_conforming(values, miscoverage) for values in rests_on)
    return ConformalSets(least, miscoverage, class_conditional, tuple(np.bincount(labels, minlength=n_classes).tolist()))


def _least_conforming(of_truth: Floats, miscoverage: float) -> float:
    excluded = len(of_truth) - math.ceil((len(of_truth) + 1) * (1 - miscoverage) - 1e-9)
    return float(np.sort(of_truth)[excluded]) if excluded >= 0 else 0.0
