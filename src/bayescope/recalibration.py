"""Evidence that means what it says, for any number of classes: raw evidence of held-out images, recalibrated.

- ``affine``: ``a evidence(x|y) + b_y``, one slope and an offset per class, so that any two classes' log-ratio is affine in the
  raw one and Bayes' rule still holds at every prevalence.  The slope is common to the classes, since evidence is known up to a
  constant common to them.  Two classes: the affine map of :mod:`bayescope.likelihood_ratio`, of least Cllr; more: its like, by
  multinomial regression with classes weighing alike.  Weighing may still stop early: a comparison of posteriors is one of raw
  evidence with another offset.
- ``monotone``: a rising map of each class's ratio against the rest; no such offset exists, so images are weighed in full.

Raw evidence comes from a weighing fitted on the other folds of the held-out images.

Held-out images may be given in several views: as they are, and changed. All views of an image are in the same fold, and
numbers told are of images. A calibration fitted on perturbed images holds better under shifts that nobody has seen (Tomani et
al. 2021, "Post-hoc uncertainty calibration for domain drift scenarios").
"""

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from bayescope.calibration import Weighing, choose_weighing, log_likelihood_ratio
from bayescope.config import EvidenceConfig
from bayescope.errors import RunError
from bayescope.evidence.bound import LevelEvidence
from bayescope.likelihood_ratio import (
    FEWEST_IMAGES,
    AffineMap,
    RatioCalibration,
    fit_calibration,
    out_of_fold,
    uncalibrated,
    warning_of,
)
from bayescope.shapes import Floats, Labels

_TINY = 1e-9


@dataclass(frozen=True)
class EvidenceCalibration:
    """``slope`` and ``offset (classes,)``, nats.

    ``images``: held-out images of each class it rests on; ``calibrated``: false if it leaves evidence as it is; ``warning``:
    what to tell whoever reads the ratios, or nothing.
    """

    slope: float
    offset: tuple[float, ...]
    images: tuple[int, ...]
    calibrated: bool
    warning: str = ""

    def __call__(self, evidence: Floats) -> Floats:
        """Calibrated evidence ``(n, classes)``, nats up to a constant common to the classes."""
        return self.slope * evidence + np.array(self.offset)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and words, fit for JSON."""
        return asdict(self)


Calibration = EvidenceCalibration | RatioCalibration


def cross_fitted_calibration(
    settings: EvidenceConfig,
    views: Sequence[LevelEvidence],
    labels: Labels,
    class_prior: Floats,
    patients: Sequence[Hashable] | None = None,
) -> Calibration:
    """The calibration the configuration asks for, on held-out images of ``labels (n,)``; too few leave evidence as it is.

    ``views``: one or more of every image.  ``class_prior``: in which the other classes are mixed for the monotone kind;
    ``patients (n,)``: whose image each is.
    """
    images = tuple(np.bincount(labels, minlength=views[0].values.shape[1]).tolist())
    kind = settings.calibration
    if kind == "none":
        return unchanged(images, "uncalibrated likelihood ratios, as configured: raw ratios overstate")
    if min(images) < FEWEST_IMAGES[kind]:
        return unchanged(images, uncalibrated(images, kind).warning)
    evidence = np.concatenate(out_of_fold_evidence(settings, views, labels, patients))
    of_view = np.tile(labels, len(views))
    if kind == "affine":
        return fit_evidence_calibration(evidence, of_view, len(views))
    ratio, _ = log_likelihood_ratio(evidence, class_prior, lambda gradient: np.zeros(len(gradient)))
    return fit_calibration(ratio, of_view, kind, len(views))


def out_of_fold_evidence(
    settings: EvidenceConfig,
    views: Sequence[LevelEvidence],
    labels: Labels,
    patients: Sequence[Hashable] | None = None,
) -> Floats:
    """Evidence of held-out images by level weights that were fitted on the other folds: nats, ``(views, n, classes)``."""

    def raw(fitting: Labels, asked: Labels) -> Floats:
        weighing = weighing_of_views(settings, [view.subset(fitting) for view in views], labels[fitting])
        return np.stack([weighing.evidence(view.subset(asked)) for view in views], axis=1)

    return out_of_fold(raw, labels, patients).swapaxes(0, 1)


def weighing_of_views(settings: EvidenceConfig, views: Sequence[LevelEvidence], labels: Labels) -> Weighing:
    """The weighing the configuration asks for, on all views of held-out images of ``labels (n,)``."""
    return choose_weighing(settings, LevelEvidence.joined(views), np.tile(labels, len(views)))


def unchanged(images: tuple[int, ...], warning: str) -> EvidenceCalibration:
    """Evidence as it is, for as many classes as ``images`` counts."""
    return EvidenceCalibration(1.0, (0.0,) * len(images), images, False, warning)


def fit_evidence_calibration(evidence: Floats, labels: Labels, views: int = 1) -> EvidenceCalibration:
    """The affine calibration of raw evidence ``(n, classes)``, nats, of images of ``labels (n,)``, some of every class.

    Every image is there in so many ``views``.
    """
    n, n_classes = evidence.shape
    counts = np.bincount(labels, minlength=n_classes)
    truth, doubt = np.eye(n_classes)[labels], 1 / (n / views + 2)
    target = truth * (1 - doubt) + (1 - truth) * doubt / (n_classes - 1)
    weight = 1 / (n_classes * counts[labels])[:, None]
    centred = evidence - evidence.mean(axis=1, keepdims=True)
    spread = float(centred.std()) or 1.0
    standard = centred / spread

    def objective(theta: Floats) -> tuple[float, Floats]:
        logits = theta[0] * standard + theta[1:]
        residual = weight * (softmax(logits, axis=1) - target)
        loss = -(weight * target * log_softmax(logits, axis=1)).sum()
        return float(loss), np.r_[(residual * standard).sum(), residual.sum(axis=0)]

    bounds = [(0.0, None)] + [(None, None)] * n_classes
    start = np.r_[1.0, np.zeros(n_classes)]
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-14, "gtol": 1e-9}).x
    slope, images = float(found[0] / spread), tuple((counts // views).tolist())
    warning = warning_of((AffineMap(slope, 0.0),), images, min(images))
    return EvidenceCalibration(slope, tuple(found[1:].tolist()), images, True, warning)


def stopping_offset(calibration: Calibration, class_prior: Floats) -> Floats | None:
    """What, added to raw evidence, ranks the classes as the reported posterior does: ``(classes,)``; None if nothing does."""
    if isinstance(calibration, RatioCalibration):
        return None
    return (np.array(calibration.offset) + np.log(class_prior)) / max(calibration.slope, _TINY)


def calibrated_weighing(calibration: Calibration, weighing: Weighing) -> Weighing:
    """The weighing whose evidence is the calibrated one; ``weighing`` itself for a monotone calibration."""
    if isinstance(calibration, RatioCalibration):
        return weighing
    return Weighing(calibration.slope * weighing.weights, calibration(weighing.class_bias))


def calibration_from_dict(content: dict[str, Any]) -> Calibration:
    """The inverse of ``to_dict`` of either kind.  Raises RunError if ``content`` is something else."""
    if "maps" in content:
        return RatioCalibration.from_dict(content)
    try:
        return EvidenceCalibration(
            float(content["slope"]),
            tuple(map(float, content["offset"])),
            tuple(map(int, content["images"])),
            bool(content["calibrated"]),
            str(content["warning"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"calibration of evidence cannot be read ({error!r}); expected slope, offset, images, calibrated and warning. "
            "Calibrate the model again"
        ) from None
