"""Test sets of another prevalence, drawn from labelled images."""

import numpy as np

from bayescope.errors import DataError
from bayescope.types import Floats, Labels


def resample_to_prevalence(labels: Labels, prevalence: Floats, seed: int) -> Labels:
    """Indices of the most images, each at most once, whose classes are as frequent as ``prevalence (classes,)`` says.

    Raises DataError if a class that should be there has no image.
    """
    counts = np.bincount(labels, minlength=len(prevalence))
    if (counts[prevalence > 0] == 0).any():
        raise DataError(f"images per class {counts.tolist()}; prevalences {prevalence.tolist()} expect some of each class")
    size = (counts[prevalence > 0] / prevalence[prevalence > 0]).min()
    wanted = np.minimum(np.round(size * prevalence).astype(int), counts)
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.permutation(np.flatnonzero(labels == k))[:m] for k, m in enumerate(wanted)])
