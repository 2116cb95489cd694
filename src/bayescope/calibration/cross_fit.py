"""Cross-fitting: calibrations and level weights judged on held-out images that they were not fitted on.

Raw evidence comes from level weights fitted on the other folds of the held-out images.  Held-out images may be given in
several augmented copies: as they are, and changed.  All copies of an image are in the same fold, and reported counts are of
images.  A calibration fitted on perturbed images is more robust to unseen shifts (Tomani et al. 2021, "Post-hoc
uncertainty calibration for domain drift scenarios").
"""

from collections.abc import Callable, Hashable, Sequence
from functools import partial

import numpy as np

from bayescope.calibration import CALIBRATIONS, Calibration
from bayescope.calibration.affine import identity_calibration
from bayescope.calibration.base import too_few_images
from bayescope.config import EvidenceConfig
from bayescope.errors import DataError, lookup
from bayescope.evidence.denoising import LevelEvidence
from bayescope.evidence.level_weights import LevelWeights
from bayescope.evidence.level_weights_fit import choose_level_weights
from bayescope.types import Floats, Labels

FitWeights = Callable[[Sequence[LevelEvidence], Labels], LevelWeights]
"""Level weights from the evidence of copies of held-out images and their labels."""


def cross_fitted_calibration(
    settings: EvidenceConfig,
    copies: Sequence[LevelEvidence],
    labels: Labels,
    class_prior: Floats,
    patients: Sequence[Hashable] | None = None,
    fit_weights: FitWeights | None = None,
) -> Calibration:
    """Fit the configured calibration on held-out images, by cross-fitting.

    Parameters
    ----------
    settings : EvidenceConfig
        The configuration of scoring.
    copies : sequence of LevelEvidence
        Evidence of each augmented copy of the images, one or more.
    labels : ndarray of shape (n,)
        True class of each image.
    class_prior : ndarray of shape (classes,)
        Mixes the other classes where ratios are calibrated.
    patients : sequence of shape (n,), optional
        Patient of each image (default: each image is of another patient).
    fit_weights : callable, optional
        Fits level weights to copies and labels (default: as configured).

    Returns
    -------
    Calibration
        Leaves evidence unchanged, with a warning, if there are too few images.

    Raises
    ------
    DataError
        If evidence is not finite.
    """
    images = tuple(np.bincount(labels, minlength=copies[0].values.shape[1]).tolist())
    kind = lookup(CALIBRATIONS, settings.calibration, "evidence.calibration")
    if kind is None:
        return identity_calibration(images, "uncalibrated likelihood ratios, as configured: raw ratios overstate")
    if min(images) < kind.fewest_images:
        return identity_calibration(images, too_few_images(images, kind.kind, kind.fewest_images))
    if patients is not None and len(set(patients)) < 2:
        warning = "uncalibrated likelihood ratios: validation images of one patient only. Raw ratios overstate"
        return identity_calibration(images, warning)
    evidence = np.concatenate(out_of_fold_evidence(settings, copies, labels, patients, fit_weights))
    if not np.isfinite(evidence).all():
        raise DataError(
            f"raw evidence that is not finite of {int((~np.isfinite(evidence)).any(axis=1).sum())} validation images; expected "
            "finite values. Leave out these images"
        )
    return kind.fit(evidence, np.tile(labels, len(copies)), class_prior, len(copies))


def out_of_fold_evidence(
    settings: EvidenceConfig,
    copies: Sequence[LevelEvidence],
    labels: Labels,
    patients: Sequence[Hashable] | None = None,
    fit_weights: FitWeights | None = None,
) -> Floats:
    """Evidence of held-out images by level weights that were fitted on the other folds.

    Parameters
    ----------
    settings : EvidenceConfig
        The configuration of scoring.
    copies : sequence of LevelEvidence
        Evidence of each augmented copy of the images, one or more.
    labels : ndarray of shape (n,)
        True class of each image.
    patients : sequence of shape (n,), optional
        Patient of each image (default: each image is of another patient).
    fit_weights : callable, optional
        Fits level weights to copies and labels (default: as configured).

    Returns
    -------
    ndarray of shape (copies, n, classes)
        Raw evidence, in nats.
    """
    fit = fit_weights or partial(level_weights_of_copies, settings)

    def raw(fitting: Labels, asked: Labels) -> Floats:
        level_weights = fit([copy.subset(fitting) for copy in copies], labels[fitting])
        return np.stack([level_weights.evidence(copy.subset(asked)) for copy in copies], axis=1)

    return out_of_fold(raw, labels, patients).swapaxes(0, 1)


def level_weights_of_copies(settings: EvidenceConfig, copies: Sequence[LevelEvidence], labels: Labels) -> LevelWeights:
    """Fit the configured level weights on all copies of held-out images.

    Parameters
    ----------
    settings : EvidenceConfig
        The configuration of scoring.
    copies : sequence of LevelEvidence
        Evidence of each augmented copy of the images, one or more.
    labels : ndarray of shape (n,)
        True class of each image.

    Returns
    -------
    LevelWeights
        The weights.
    """
    return choose_level_weights(settings, LevelEvidence.joined(copies), np.tile(labels, len(copies)))


def out_of_fold(
    predict: Callable[[Labels, Labels], Floats],
    labels: Labels,
    patients: Sequence[Hashable] | None = None,
    folds: int = 5,
    seed: int = 0,
) -> Floats:
    """Predictions for every image by a fit on images of other patients.

    Used twice: for raw ratios whose level weights were fitted on other images, on which a calibration may be fitted; and for
    calibrated ratios, to assess the calibration on the images it was fitted on.

    Parameters
    ----------
    predict : callable
        ``predict(fitting, asked)`` fits on the images of the first indices and returns predictions for those of the second,
        ``(m, …)``.
    labels : ndarray of shape (n,)
        True class of each image.
    patients : sequence of shape (n,), optional
        Patient of each image (default: each image is of another patient).
    folds : int, default 5
        Number of stratified folds.
    seed : int, default 0
        Seed of the division into folds.

    Returns
    -------
    ndarray of shape (n, …)
        The predictions.

    Raises
    ------
    DataError
        If a class has fewer than two images, or all are of one patient.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    counts = np.bincount(labels)
    smallest = int(counts[counts > 0].min(initial=len(labels)))
    if smallest < 2:
        raise DataError(f"validation images per class: {counts.tolist()}; cross-fitting expects at least two of each class")
    n_patients = len(labels) if patients is None else len(set(patients))
    if n_patients < 2:
        raise DataError("validation images of one patient only; cross-fitting expects images of at least two")
    kind = StratifiedKFold if patients is None else StratifiedGroupKFold
    splitter = kind(min(folds, smallest, n_patients), shuffle=True, random_state=seed)
    parts = [(asked, predict(fitting, asked)) for fitting, asked in splitter.split(labels, labels, patients) if len(asked)]
    order = np.argsort(np.concatenate([asked for asked, _ in parts]))
    return np.concatenate([predicted for _, predicted in parts])[order]
