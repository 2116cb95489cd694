"""Class frequencies of unlabelled images by maximum likelihood on the likelihood ratios, with a test of the model's fit.

The images are a mixture of the classes, p(x) = Σ_k π_k p(x|k).  With calibrated likelihoods, known up to a factor common to the
classes, the frequencies π are those that maximise Σ_i log Σ_k π_k p(x_i|k), found by the EM algorithm of Saerens, Latinne and
Decaestecker (Neural Computation 14:21, 2002); calibration with a bias for each class makes it accurate (Alexandari, Kundaje and
Shrikumar, ICML 2020).  This supposes that the classes look as they did in training: only their frequencies differ.
"""

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bayescope.errors import DataError
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.predictions import Predictions
from bayescope.metrics.bootstrap import Estimate, bootstrap, patient_numbers
from bayescope.types import Floats, Labels

FEWEST_IMAGES = 10
LEVEL = 0.05
_TOLERANCE, _MOST_STEPS, _TINY = 1e-7, 1000, 1e-12


@dataclass(frozen=True)
class Plausibility:
    """Test whether images are like those the model was validated on, whatever their classes.

    Parameters
    ----------
    p_value : float
        One-sided Kolmogorov-Smirnov test of the novelty p-values: small where too many images are unlike the held-out ones.
    share_novel : float
        Share of the images whose own novelty p-value is 0.05 or less; about 0.05 is expected.
    images : int
        Number of images tested, one of each patient.
    """

    p_value: float
    share_novel: float
    images: int

    @property
    def is_doubtful(self) -> bool:
        """Whether the test rejects at level 0.05."""
        return self.p_value < LEVEL


@dataclass(frozen=True)
class Prevalence:
    """Estimated class frequencies of a set of images.

    Parameters
    ----------
    frequencies : dict of str to Estimate
        Share of each class, with a 95 % bootstrap interval over patients.  The interval covers the choice of images, not the
        error of the calibration.
    images, patients : int
        Number of images and of patients.
    called : dict of str to float
        Share of the images whose most probable class, at the model's prior, is each class; for comparison.
    plausibility : Plausibility or None
        Test of the images; None if the model has no novelty test.
    warnings : tuple of str
        What to know before trusting the frequencies.
    """

    frequencies: dict[str, Estimate]
    images: int
    patients: int
    called: dict[str, float]
    plausibility: Plausibility | None
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """What ``bayescope prevalence --json`` prints."""
        return asdict(self) | {"warnings": list(self.warnings)}

    def option(self) -> str:
        """The frequencies as the value of ``--prevalence``."""
        values = {name: max(estimate.value, 1e-4) for name, estimate in self.frequencies.items()}
        total = sum(values.values())
        return ",".join(f"{name}={value / total:.4f}" for name, value in values.items())


def estimate_prevalence(
    model: LikelihoodModel, predictions: Predictions, patients: Sequence[Hashable] | None = None, seed: int = 0
) -> Prevalence:
    """Estimate the class frequencies of the images of ``predictions``.

    Parameters
    ----------
    model : LikelihoodModel
        The model that made the predictions.
    predictions : Predictions
        Of unlabelled images, at any class prior; with the novelty test, if the images are to be tested.
    patients : sequence of shape (n,), optional
        Patient of each image (default: each image is another patient's).
    seed : int, default 0
        Seed of the bootstrap.

    Returns
    -------
    Prevalence
        Frequencies with intervals.

    Raises
    ------
    DataError
        If there are fewer than ten images, or ``patients`` are not ``n``.

    Examples
    --------
    >>> predictions = model.classify(pixels, disagreement_rate=0.0)  # doctest: +SKIP
    >>> print(estimate_prevalence(model, predictions).frequencies["malignant"])  # doctest: +SKIP
    0.008 (0.003–0.014)
    """
    n = len(predictions.log_posterior)
    if n < FEWEST_IMAGES:
        raise DataError(f"{n} images; expected at least {FEWEST_IMAGES} to estimate frequencies from. Give more images")
    log_likelihood = predictions.log_posterior - np.log(predictions.class_prior)
    found = bootstrap(lambda weights: class_frequencies(log_likelihood, weights), n, patients, seed=seed)
    called = np.bincount((log_likelihood + np.log(model.class_prior)).argmax(axis=1), minlength=len(model.class_names)) / n
    plausibility = _plausibility(predictions, patients)
    warnings = [model.calibration.warning]
    if plausibility is None:
        warnings.append("whether the model fits these images was not tested: it has no novelty test")
    elif plausibility.is_doubtful:
        warnings.append(
            f"the images are unlike those the model was validated on (p = {plausibility.p_value:.2g}; "
            f"{plausibility.share_novel:.0%} are novel at the 5 % level): classes may look different here, and the frequencies "
            "may be wrong. Adapt the model with `bayescope adapt`"
        )
    return Prevalence(
        dict(zip(model.class_names, found, strict=True)),
        n,
        n if patients is None else len(set(patients)),
        model.by_class(called),
        plausibility,
        tuple(filter(None, warnings)),
    )


def class_frequencies(log_likelihood: Floats, weights: Labels | None = None) -> Floats:
    """Maximum-likelihood mixture weights of classes whose densities are known.

    Parameters
    ----------
    log_likelihood : ndarray of shape (n, classes)
        Log-likelihood of each image under each class, in nats, up to a constant for each image.
    weights : ndarray of shape (draws, n), optional
        How often each image counts (default: once, in a single draw).

    Returns
    -------
    ndarray of shape (draws, classes)
        Frequencies; rows sum to one.  The likelihood is concave, so that the start does not matter.
    """
    n, n_classes = log_likelihood.shape
    counts = np.ones((1, n)) if weights is None else np.asarray(weights, dtype=float)
    likelihood = np.exp(log_likelihood - log_likelihood.max(axis=1, keepdims=True))
    total = counts.sum(axis=1, keepdims=True)

    def em(frequencies: Floats) -> Floats:
        return np.asarray(frequencies * ((counts / (frequencies @ likelihood.T)) @ likelihood) / total)

    found = np.full((len(counts), n_classes), 1 / n_classes)
    for _ in range(_MOST_STEPS):
        once = em(found)
        if np.abs(once - found).max() < _TOLERANCE:
            return once
        found = _extrapolated(found, once, em(once))
    return found


def _extrapolated(start: Floats, once: Floats, twice: Floats) -> Floats:
    """Three iterates taken further by squared extrapolation (SQUAREM; Varadhan and Roland 2008); the last where that leaves the
    simplex."""
    change = once - start
    curvature = twice - once - change
    size = [np.linalg.norm(part, axis=1, keepdims=True) for part in (change, curvature)]
    step = np.maximum(size[0] / np.maximum(size[1], _TINY), 1.0)
    further = start + 2 * step * change + step**2 * curvature
    return np.where((further > _TINY).all(axis=1, keepdims=True), further, twice)


def _plausibility(predictions: Predictions, patients: Sequence[Hashable] | None) -> Plausibility | None:
    """One image of each patient, as those of one patient are not independent; both samples are finite."""
    novelty = predictions.novelty
    if novelty is None:
        return None
    first = np.unique(patient_numbers(patients, len(novelty.p_value)), return_index=True)[1]
    p = np.sort(novelty.p_value[first])
    excess = float((np.arange(1, len(p) + 1) / len(p) - p).max())
    effective = len(p) * novelty.images / (len(p) + novelty.images)
    return Plausibility(float(np.exp(-2 * effective * max(excess, 0.0) ** 2)), float((p <= LEVEL).mean()), len(p))
