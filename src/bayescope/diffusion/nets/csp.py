"""Initial filters of the network: common spatial patterns of small patches.

A subtle finding, such as a cluster of microcalcifications, hardly changes any mean, but it changes the covariance of the pixels
of small patches.  Gradient descent finds such a filter late; linear algebra finds it directly.  With S_k the second moments
of class k's patches and S their mean over classes, the generalised eigenvectors of (S_k - S) w = λ S w with the largest
|λ| are the patterns whose variance differs most (Koles 1991; common in EEG, Blankertz et al. 2008).
"""

import numpy as np
import torch
from scipy.linalg import eigh
from torch import Tensor
from torch.nn import functional as F

from bayescope.types import Floats

_CHUNK = 256
_RIDGE = 1e-3


def common_spatial_patterns(x: Tensor, label: Tensor, n_classes: int, side: int, count: int) -> Tensor:
    """``count`` filters ``(count, channel, side, side)`` of unit response on images ``x (n, channel, height, width)``.

    The classes take turns, each giving its strongest patterns first, in both signs.
    """
    moments = np.stack([_patch_moments(x[label == k], side) for k in range(n_classes)])
    mean = moments.mean(axis=0)
    mean += _RIDGE * np.trace(mean) / len(mean) * np.eye(len(mean))
    ranked = []
    for moment in moments:
        value, vector = eigh(moment - mean, mean)
        ranked.append(vector[:, np.argsort(-np.abs(value))])
    per_class = -(-count // (2 * n_classes))
    filters = [sign * vectors[:, i] for i in range(per_class) for vectors in ranked for sign in (1.0, -1.0)]
    return torch.tensor(np.stack(filters[:count]), dtype=x.dtype).reshape(-1, x.shape[1], side, side)


def _patch_moments(x: Tensor, side: int) -> Floats:
    total = torch.zeros((), dtype=torch.float64)
    n_patches = 0
    for chunk in x.split(_CHUNK):
        patches = F.unfold(chunk, side, padding=side // 2)
        total = total + torch.bmm(patches, patches.transpose(1, 2)).sum(dim=0).double()
        n_patches += len(patches) * patches.shape[2]
    return (total / n_patches).numpy()
