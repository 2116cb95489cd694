"""What a raw log-likelihood ratio is worth: its calibration on held-out images, and the post-test probability.

Raw evidence sums hundreds of pixels as if each were news, and so overstates.  For each class against the rest, a rising
map takes the raw log-ratio r to a calibrated one, in nats:

- ``affine``: l = a r + b, a >= 0, least Cllr (Brümmer & du Preez 2006): logistic regression in which both sides weigh the
  same, whatever their numbers.  One part in n + 2 of every image counts for the other side (Platt 2000, alike for both): the
  slope stays finite and the ratios modest where images are few.
- ``monotone``: pool adjacent violators, straight between the pooled values.  One misleading image is added at either end, or
  the ends would be infinite.

Then post-test odds = pre-test odds x exp(l), at any prevalence.  The raw ratios must come from images on which nothing else
was fitted: see :func:`out_of_fold`.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logit

from bayescope.errors import DataError, RunError
from bayescope.shapes import Floats, Labels

FEWEST_IMAGES = {"affine": 5, "monotone": 20}
"""Images that either side of a map must have, or nothing is calibrated."""
FEW_IMAGES = 20
"""Below this many images on one side the answer is calibrated, with a warning."""

Kind = Literal["affine", "monotone"]


@dataclass(frozen=True)
class AffineMap:
    """``slope * raw + offset``, nats."""

    slope: float
    offset: float

    def __call__(self, raw: Floats) -> Floats:
        return self.slope * raw + self.offset


@dataclass(frozen=True)
class MonotoneMap:
    """Straight between the points (``raw``, ``calibrated``), both rising, nats; constant beyond the ends."""

    raw: tuple[float, ...]
    calibrated: tuple[float, ...]

    def __call__(self, raw: Floats) -> Floats:
        return np.interp(raw, self.raw, self.calibrated)


@dataclass(frozen=True)
class RatioCalibration:
    """One map per class, and what it rests on.

    ``images``: held-out images of each class; ``calibrated``: false if the maps are the identity for want of images;
    ``warning``: what to tell whoever reads the ratios, or nothing.
    """

    maps: tuple[AffineMap | MonotoneMap, ...]
    images: tuple[int, ...]
    calibrated: bool
    warning: str = ""

    def __call__(self, raw: Floats) -> Floats:
        """Calibrated log-likelihood ratios of each class against the rest, from raw ones: nats, ``(n, classes)``."""
        return np.stack([calibrate(column) for calibrate, column in zip(self.maps, raw.T, strict=True)], axis=1)

    def posterior(self, raw: Floats, class_prior: Floats) -> Floats:
        """Post-test probability of each class at prevalences ``class_prior (classes,)``: ``(n, classes)``.

        Two classes sum to one by themselves; more are calibrated one against the rest, and then normalised.
        """
        probability = post_test_probability(self(raw), class_prior)
        return probability / probability.sum(axis=1, keepdims=True)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and words, fit for JSON."""
        return {
            "maps": [asdict(item) for item in self.maps],
            "images": list(self.images),
            "calibrated": self.calibrated,
            "warning": self.warning,
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`.  Raises RunError if ``content`` is something else."""
        try:
            maps = tuple(_map_from(item) for item in content["maps"])
            images = tuple(int(count) for count in content["images"])
            return cls(maps, images, bool(content["calibrated"]), str(content["warning"]))
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"calibration of likelihood ratios cannot be read ({error!r}); expected maps, images, calibrated and warning. "
                "Calibrate the model again"
            ) from None


def fit_calibration(raw: Floats, labels: Labels, kind: Kind = "affine", views: int = 1) -> RatioCalibration:
    """Calibrate raw log-ratios ``(n, classes)`` on held-out images of ``labels (n,)``, each given in so many ``views``.

    With fewer than ``FEWEST_IMAGES`` of a class or of the rest (none at all included) the answer is the identity, marked
    uncalibrated.  Raises DataError for ratios that are not finite, or that do not fit the labels.
    """
    raw = np.asarray(raw, dtype=float)
    if raw.ndim != 2 or len(raw) != len(labels) or not np.isfinite(raw).all():
        raise DataError(
            f"raw log-likelihood ratios of shape {raw.shape} for {len(labels)} labels, {int((~np.isfinite(raw)).sum())} not "
            "finite; expected finite ratios (images, classes). Leave out the images that cannot be weighed"
        )
    n_classes = raw.shape[1]
    counts = np.bincount(labels, minlength=n_classes) // views
    fewest = int(np.minimum(counts, len(labels) // views - counts).min())
    images = tuple(counts.tolist())
    if fewest < FEWEST_IMAGES[kind]:
        return uncalibrated(images, kind)
    fit = fit_affine if kind == "affine" else fit_monotone
    maps = tuple(fit(raw[:, k], labels == k, views) for k in range(n_classes))
    return RatioCalibration(maps, images, True, warning_of(maps, images, fewest))


def uncalibrated(images: tuple[int, ...], kind: Kind = "affine") -> RatioCalibration:
    """The identity for as many classes as ``images`` counts, marked as such."""
    warning = (
        f"uncalibrated likelihood ratios: {list(images)} validation images per class; {kind} calibration expects at least "
        f"{FEWEST_IMAGES[kind]} of each class and of the rest. Raw ratios overstate; give a larger validation split"
    )
    return RatioCalibration((AffineMap(1.0, 0.0),) * len(images), images, False, warning)


def fit_affine(raw: Floats, positive: np.ndarray, views: int = 1) -> AffineMap:
    """The affine map of least Cllr.  ``raw (n,)`` nats, ``positive (n,)`` bool, at least one image on either side.

    Every image is there in so many ``views``.
    """
    doubt = 1 / (len(raw) / views + 2)
    target = np.where(positive, 1 - doubt, doubt)
    weight = np.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum())
    centre, spread = raw.mean(), raw.std() or 1.0
    standard = (raw - centre) / spread

    def objective(theta: Floats) -> tuple[float, Floats]:
        ratio = theta[0] * standard + theta[1]
        loss = -weight @ (target * log_expit(ratio) + (1 - target) * log_expit(-ratio))
        residual = weight * (expit(ratio) - target)
        return float(loss), np.array([residual @ standard, residual.sum()])

    bounds = [(0.0, None), (None, None)]
    found = minimize(objective, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-14})
    slope = float(found.x[0] / spread)
    return AffineMap(slope, float(found.x[1] - slope * centre))


def fit_monotone(raw: Floats, positive: np.ndarray, views: int = 1) -> MonotoneMap:
    """The rising map of pooled adjacent violators, with one misleading image at either end, in as many ``views`` as all are."""
    low, high, one = np.full(views, raw.min()), np.full(views, raw.max()), np.ones(views, dtype=bool)
    knots, ratios = pooled_log_ratio(np.r_[low, raw, high], np.r_[one, positive, ~one])
    return MonotoneMap(tuple(knots.tolist()), tuple(ratios.tolist()))


def pooled_log_ratio(raw: Floats, positive: np.ndarray) -> tuple[Floats, Floats]:
    """Rising ``raw`` values, without repetition, and the log-ratio of the pool of each: nats, both ``(values,)``.

    No rising map has a smaller loss on these images, whatever the proper scoring rule; an end where one side is absent is
    infinite.
    """
    from sklearn.isotonic import isotonic_regression

    knots, place, counts = np.unique(raw, return_inverse=True, return_counts=True)
    frequency = isotonic_regression(np.bincount(place, positive) / counts, sample_weight=counts.astype(float))
    with np.errstate(divide="ignore"):
        return knots, logit(frequency.clip(0, 1)) - logit(positive.mean())


def post_test_probability(log_ratio: Floats, prevalence: Floats | float) -> Floats:
    """Bayes' rule in odds: probability after the test, of ``log_ratio`` in nats and the probability before it.

    The arrays broadcast: ``(n, classes)`` ratios and ``(classes,)`` prevalences give ``(n, classes)``.
    """
    return np.asarray(expit(log_ratio + logit(prevalence)))


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
    Raises DataError if a class has fewer than two images.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    counts = np.bincount(labels)
    smallest = int(counts[counts > 0].min(initial=len(labels)))
    if smallest < 2:
        raise DataError(f"validation images per class: {counts.tolist()}; cross-fitting expects at least two of each class")
    kind = StratifiedKFold if patients is None else StratifiedGroupKFold
    splitter = kind(min(folds, smallest), shuffle=True, random_state=seed)
    parts = [(asked, predict(fitting, asked)) for fitting, asked in splitter.split(labels, labels, patients) if len(asked)]
    order = np.argsort(np.concatenate([asked for asked, _ in parts]))
    return np.concatenate([answer for _, answer in parts])[order]


def warning_of(maps: tuple[AffineMap | MonotoneMap, ...], images: tuple[int, ...], fewest: int) -> str:
    """What to tell of ``maps`` fitted on ``images`` of each class, ``fewest`` on the smaller side; or nothing."""
    if any(isinstance(item, AffineMap) and item.slope == 0 for item in maps):
        return (
            f"the likelihood ratios tell nothing: on the validation images {list(images)} they do not rise with the class, and "
            "were set to one"
        )
    return f"calibrated on few validation images: {list(images)} per class" if fewest < FEW_IMAGES else ""


def _map_from(content: dict[str, Any]) -> AffineMap | MonotoneMap:
    if "slope" in content:
        return AffineMap(float(content["slope"]), float(content["offset"]))
    return MonotoneMap(tuple(map(float, content["raw"])), tuple(map(float, content["calibrated"])))
