"""Temperature scaling of a network's logits (Guo et al. 2017)."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from bayescope.shapes import Floats, Labels


def fit_temperature(logits: Floats, labels: Labels) -> float:
    """The temperature of least log loss on validation logits ``(n, classes)``."""

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(logits / np.exp(log_temperature), axis=1)[np.arange(len(labels)), labels].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))
