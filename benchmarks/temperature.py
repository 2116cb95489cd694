"""Temperature scaling of a network's logits (Guo et al. 2017)."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from bayescope.types import Floats, Labels


def fit_temperature(logits: Floats, labels: Labels) -> float:
    """The temperature of least log loss on validation logits ``(n, classes)``.

    Classes have equal weight, as they did in training: the logits are scaled likelihoods, not posteriors at the frequencies of
    the validation images, and a temperature cannot make up for the difference.
    """
    weight = 1 / np.bincount(labels)[labels]

    def loss(log_temperature: float) -> float:
        surprise = -log_softmax(logits / np.exp(log_temperature), axis=1)[np.arange(len(labels)), labels]
        return float(np.average(surprise, weights=weight))

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))
