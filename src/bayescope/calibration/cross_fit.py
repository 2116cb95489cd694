"""Cross-fitting: calibrations and level weights judged on held-out images that they were not fitted on.

Raw evidence comes from level weights fitted on the other folds of the held-out images.  Held-out images may be given in
several augmented copies: as they are, and changed.  All copies of an image are in the same fold, and reported counts are of
images.  A calibration fitted on perturbed images holds better under shifts that nobody has seen (Tomani et al. 2021, "Post-hoc
uncertainty calibration for domain drift scenarios").
"""

from collections.abc import Callable, Hashable, Sequence

import numpy as np

from bayescope.calibration import CALIBRATIONS, Calibration
from bayescope.calibration.affine import identity_calibration
from bayescope.calibration.base import too_few_images
from bayescope.config import EvidenceConfig
from bayescope.errors import DataError, lookup
from bayescope.evidence.denoising import LevelEvidence
from bayescope.evidence.level_weights import LevelWeights, choose_level_weights
from bayescope.types import Floats, Labels


def cross_fitted_calibration(
    settings: EvidenceConfig,
    copies: Sequence[LevelEvidence],
    labels: Labels,
    class_prior: Floats,
    patients: Sequence[Hashable] | None = None,
) -> Calibration:
    """The calibration the configuration asks for, on held-out images of ``labels (n,)``; too few leave evidence as it is.

    ``copies``: one or more of every image.  ``class_prior``: in which the other classes are mixed where ratios are calibrated;
    ``patients (n,)``: whose image each is.
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
    evidence = np.concatenate(out_of_fold_evidence(settings, copies, labels, patients))
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
) -> Floats:
    """Evidence of held-out images by level weights that were fitted on the other folds: nats, ``(copies, n, classes)``."""

    def raw(fitting: Labels, asked: Labels) -> Floats:
        level_weights = level_weights_of_copies(settings, [copy.subset(fitting) for copy in copies], labels[fitting])
        return np.stack([level_weights.evidence(copy.subset(asked)) for copy in copies], axis=1)

    return out_of_fold(raw, labels, patients).swapaxes(0, 1)


def level_weights_of_copies(settings: EvidenceConfig, copies: Sequence[LevelEvidence], labels: Labels) -> LevelWeights:
    """The level weights the configuration asks for, on all copies of held-out images of ``labels (n,)``."""
    return choose_level_weights(settings, LevelEvidence.joined(copies), np.tile(labels, len(copies)))


def out_of_fold(
    predict: Callable[[Labels, Labels], Floats],
    labels: Labels,
    patients: Sequence[Hashable] | None = None,
    folds: int = 5,
    seed: int = 0,
) -> Floats:
    """Every image's answer from a fit that has seen neither it nor another image of its patient.

    ``predict(fitting, asked)`` fits on the images of the first indices and answers for those of the second, ``(m, …)``;
    folds are stratified, and hold whole ``patients (n,)`` (default: every image is another's). Serves twice: raw ratios
    whose level weights were fitted on the other images, on which a calibration may be fitted; and calibrated ratios for an
    honest figure on the very images of the calibration.
    Raises DataError if a class has fewer than two images, or all are of one patient.
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
    return np.concatenate([answer for _, answer in parts])[order]
