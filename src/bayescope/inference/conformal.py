"""Split-conformal prediction sets (Vovk, Gammerman & Shafer 2005).

The classes that are not too improbable; the set contains the true class with probability at least 1 - miscoverage, on
average over images, or within every class (class-conditional), for new images exchangeable with the held-out ones.
"""

import math
from dataclasses import dataclass

import numpy as np

from bayescope.inference.abstention import check_images, check_share
from bayescope.types import Floats, Labels


@dataclass(frozen=True)
class ConformalSets:
    """Prediction sets: a class is included if its posterior is at least a threshold of the class.

    Parameters
    ----------
    least_posterior : tuple of float
        Threshold of each class; 0 where too few held-out images allow no exclusion.
    miscoverage : float
        Largest probability that the true class is not included.
    class_conditional : bool
        Whether the guarantee holds within every class.
    images : tuple of int
        Number of held-out images of each class.
    """

    least_posterior: tuple[float, ...]
    miscoverage: float
    class_conditional: bool
    images: tuple[int, ...]

    def sets(self, posterior: Floats) -> np.ndarray:
        """Prediction sets of images.

        Parameters
        ----------
        posterior : ndarray of shape (n, classes)
            Posterior probabilities.

        Returns
        -------
        ndarray of bool, shape (n, classes)
            Whether each class is included; a set may be empty.
        """
        return posterior >= np.array(self.least_posterior)


def fit_conformal_sets(
    posterior: Floats, labels: Labels, miscoverage: float = 0.1, class_conditional: bool = True
) -> ConformalSets:
    """Fit split-conformal prediction sets.

    Parameters
    ----------
    posterior : ndarray of shape (n, classes)
        Posterior probabilities of held-out images.
    labels : ndarray of shape (n,)
        True class of each image.
    miscoverage : float, default 0.1
        Largest probability that the true class is not included.
    class_conditional : bool, default True
        Whether the guarantee is to hold within every class, rather than on average over images.

    Returns
    -------
    ConformalSets
        The thresholds.

    Raises
    ------
    ConfigError
        If miscoverage is not between 0 and 1.
    DataError
        If there are no images.

    Examples
    --------
    >>> import numpy as np
    >>> posterior = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.2, 0.8], [0.4, 0.6], [0.1, 0.9]])
    >>> sets = fit_conformal_sets(posterior, np.array([0, 0, 0, 1, 1, 1]), miscoverage=0.25)
    >>> sets.sets(np.array([[0.95, 0.05], [0.5, 0.5]])).tolist()
    [[True, False], [False, False]]
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
