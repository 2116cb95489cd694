"""The level weights by the word of the configuration, and their fit on held-out images.

With d the spacing of the levels in log σ:

- ``bound``: w = d.  Exact for the ideal denoiser.
- ``power``: w = d σ^p.  p > 0 trusts coarse structure more than fine.
- ``fitted``: w = d exp(a + b u + c u²), u = log σ scaled to [-1, 1]: logistic regression on held-out images.  Three numbers
  are all a validation split of some dozens can carry; a Gaussian prior of unit width on b and c, 3 on a, keeps
  them near the bound.  Includes ``bound`` and, up to scale, ``power``.  An offset per class is left to the calibration, which
  is fitted on other folds: fitted here too, it cost Cllr on small validation splits and gained none on large ones.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from bayescope.config import EvidenceConfig
from bayescope.errors import DataError, lookup
from bayescope.evidence.denoising import LevelEvidence
from bayescope.evidence.level_weights import LevelWeights, level_spacing
from bayescope.types import Floats, Labels


def choose_level_weights(config: EvidenceConfig, held_out: LevelEvidence, labels: Labels) -> LevelWeights:
    """The configured level weights.

    Parameters
    ----------
    config : EvidenceConfig
        The configuration of scoring.
    held_out : LevelEvidence
        Evidence of held-out images.
    labels : ndarray of shape (n,)
        Their classes.

    Returns
    -------
    LevelWeights
        Only ``fitted`` depends on the held-out images; where these lack a class, it is the bound.

    Raises
    ------
    ConfigError
        If the configured weights do not exist.
    """
    return lookup(LEVEL_WEIGHTS, config.level_weights, "evidence.level_weights").choose(config, held_out, labels)


def _bound(config: EvidenceConfig, held_out: LevelEvidence, labels: Labels) -> LevelWeights:
    return LevelWeights(level_spacing(held_out.sigmas), np.zeros(held_out.values.shape[1]))


def _power(config: EvidenceConfig, held_out: LevelEvidence, labels: Labels) -> LevelWeights:
    weights = level_spacing(held_out.sigmas) * held_out.sigmas**config.power
    return LevelWeights(weights, np.zeros(held_out.values.shape[1]))


def _fitted(config: EvidenceConfig, held_out: LevelEvidence, labels: Labels) -> LevelWeights:
    lacks_a_class = np.bincount(labels, minlength=held_out.values.shape[1]).min() == 0
    return _bound(config, held_out, labels) if lacks_a_class else fit_level_weights(held_out, labels)


@dataclass(frozen=True)
class LevelWeighting:
    """A way to weight the levels.

    Parameters
    ----------
    choose : callable
        ``choose(config, held_out, labels)`` gives the level weights.
    is_fitted : bool
        Whether they depend on held-out images.
    """

    choose: Callable[[EvidenceConfig, LevelEvidence, Labels], LevelWeights]
    is_fitted: bool


LEVEL_WEIGHTS: dict[str, LevelWeighting] = {
    "bound": LevelWeighting(_bound, is_fitted=False),
    "power": LevelWeighting(_power, is_fitted=False),
    "fitted": LevelWeighting(_fitted, is_fitted=True),
}
"""By word of ``evidence.level_weights``."""


def fit_level_weights(held_out: LevelEvidence, labels: Labels) -> LevelWeights:
    """Fit ``fitted`` weights by penalised maximum likelihood, at the class frequencies of the held-out images.

    Parameters
    ----------
    held_out : LevelEvidence
        Evidence of held-out images.
    labels : ndarray of shape (n,)
        Their classes.

    Returns
    -------
    LevelWeights
        The weights.

    Raises
    ------
    DataError
        If a class has no held-out image.
    """
    n_classes = held_out.values.shape[1]
    counts = np.bincount(labels, minlength=n_classes)
    if counts.min() == 0:
        raise DataError(
            f"validation images per class: {counts.tolist()}; fitted level weights need at least one of each. "
            "Give a larger validation split, or set level_weights to 'bound' or 'power'"
        )
    spacing = level_spacing(held_out.sigmas)
    place = _place(held_out.sigmas)
    centred = held_out.mean - held_out.mean.mean(axis=1, keepdims=True)
    log_frequency = np.log(counts / counts.sum())

    def weights(theta: Floats) -> Floats:
        return np.asarray(spacing * np.exp(theta[0] + theta[1] * place + theta[2] * place**2))

    def objective(theta: Floats) -> float:
        logits = centred @ weights(theta) + log_frequency
        loss = -log_softmax(logits, axis=1)[np.arange(len(labels)), labels].sum()
        return float(loss + 0.5 * (theta[1:] ** 2).sum() + 0.5 * (theta[0] / 3) ** 2)

    start = min((np.array([scale, 0.0, 0.0]) for scale in (-6.0, -3.0, 0.0)), key=objective)
    return LevelWeights(weights(minimize(objective, start, method="L-BFGS-B").x), np.zeros(n_classes))


def _place(sigmas: Floats) -> Floats:
    log_sigma = np.log(sigmas)
    middle, half = (log_sigma[0] + log_sigma[-1]) / 2, (log_sigma[-1] - log_sigma[0]) / 2
    return (log_sigma - middle) / half if half > 0 else np.zeros_like(log_sigma)
