"""Out-of-distribution test on per-level denoising errors.

A likelihood ratio compares classes, even for an image that belongs to none of them.  The denoising errors detect such images:
an image unlike the training images is denoised worse than they are at some noise levels, or, if it is blank or blurred, better.
The errors depend little on brightness and contrast, so the mean of the pixels and the log of their standard deviation are added
as features: on validation images of BreastMNIST against those of PneumoniaMNIST, the AUC rose from 0.92 to 0.997.  The features
e of an image (log errors of the levels, mean, log standard deviation) are compared with those of held-out images by

- their Mahalanobis distance, with a shrunk covariance (Ledoit & Wolf 2004), which detects unusual *patterns* over levels;
- the most extreme single feature, two-sided, which detects a single unusual level.

The score is -log of the smaller of the two tail probabilities, each computed as if e were normal.  The test does not assume
this: the p-value is the rank among held-out scores (cross-conformal, Vovk 2015), fitted on all folds but one and ranked within
that one.  p-values of images like the held-out ones are uniform.

Scoring stops early, often for the most unusual images.  So the errors are those of one noise per level under the predicted
class.  They do not depend on when scoring stopped, and cost a pass only at levels at which that class was not scored; the draws
taken before stopping, sometimes only two, would not suffice for a test.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from scipy.stats import chi2, norm
from torch import Tensor

from bayescope.errors import DataError, RunError
from bayescope.inference.trust import Finding, ScoredImages, Wording
from bayescope.types import Floats, Labels

FEWEST_IMAGES = 20
_FOLDS = 5
_TINY = 1e-12
_SUSPICIOUS = 0.05
_FAINTEST = 2 / 255  # a gray level of 8 bits: a blank held-out image must not hide that others have low contrast


@dataclass(frozen=True)
class Fold:
    """``mean (d,)`` and ``covariance (d, d)`` of the other folds' features; ``scores (m,)`` of its own images."""

    mean: Floats
    covariance: Floats
    scores: Floats

    def score(self, features: Floats) -> Floats:
        """Novelty score of images.

        Parameters
        ----------
        features : ndarray of shape (n, d)
            Features of the images.

        Returns
        -------
        ndarray of shape (n,)
            -log of the smaller tail probability, in nats.
        """
        return _score(features, self.mean, self.covariance)


@dataclass(frozen=True)
class NoveltyResult:
    """Result of the novelty test of ``n`` images.

    Parameters
    ----------
    p_value : ndarray of shape (n,)
        Probability of an image at least as unusual among images like the training images; at least 1/(images + 1).
    score : ndarray of shape (n,)
        Novelty score, in nats; ranks images beyond the smallest p-value.
    deviation : ndarray of shape (n, d)
        Deviation of each feature, in standard deviations; positive log errors mean worse denoising than usual.
    images : int
        Number of held-out images.
    """

    p_value: Floats
    score: Floats
    deviation: Floats
    images: int

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """That on all the parts' images, by one test."""
        p_value, score, deviation = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("p_value", "score", "deviation")
        )
        return cls(p_value, score, deviation, parts[0].images)

    def warnings(self, level: float = 0.01) -> list[str]:
        """A warning for each image that is unlike the training images, blank for the others.

        Parameters
        ----------
        level : float, default 0.01
            Largest p-value with a warning; or, with too few held-out images for it, the smallest possible p-value.

        Returns
        -------
        list of str
            One text for each image.
        """
        return [self._warning(p, level) for p in self.p_value]

    def _warning(self, p: float, level: float = 0.01) -> str:
        return f"unlike the training images (p = {p:.2g})" if p <= max(level, 1 / (self.images + 1)) else ""

    def finding(self, i: int) -> Finding:
        """The result for image ``i``: its p-value, and the warning of :meth:`warnings`."""
        p = float(self.p_value[i])
        warning = self._warning(p)
        cell, short_cell = (warning, f"{p:.2g} !") if warning else (f"p = {p:.2f}", f"{p:.2f}")
        return Finding({"novelty_p_value": p}, cell, short_cell, f"novelty p = {p:.2g}", warning)

    def suspicious(self, most: int) -> list[int]:
        """At most ``most`` images with a p-value of 0.05 or less, in rising order of it."""
        rising = self.p_value.argsort(kind="stable")[:most]
        return [int(i) for i in rising if self.p_value[i] <= _SUSPICIOUS]


@dataclass(frozen=True)
class NoveltyTest:
    """Out-of-distribution test against held-out images, a :class:`bayescope.inference.trust.TrustTest`.

    Parameters
    ----------
    folds : tuple of Fold
        The held-out images, in folds.
    """

    folds: tuple[Fold, ...]

    wording: ClassVar[Wording] = Wording(
        column="novelty",
        short_column="novel p",
        explanation="novelty: probability of as odd an image among ones like the training images (!: unlike them)",
        not_fitted="whether images are like those of training was not tested: too few validation images",
        gallery="Least like the training images",
        none_suspicious="No image has a p-value of 0.05 or less.",
    )
    keys: ClassVar[tuple[str, ...]] = ("novelty_p_value",)
    needs_first_noise: ClassVar[bool] = True

    @classmethod
    def features(cls, scored: ScoredImages) -> Floats:
        """The :func:`image_features` of ``scored`` images: ``(n, levels + 2)``."""
        return image_features(scored.first_noise, scored.x)

    @classmethod
    def fit(cls, features: Floats, labels: Labels, patients: Sequence[Hashable] | None) -> "NoveltyTest | None":
        """Fit on ``features (n, d)`` of ``patients``, as :func:`fit_novelty`; ``labels`` are not used.

        None for fewer than ``FEWEST_IMAGES`` images.
        """
        return fit_novelty(features, patients) if len(features) >= FEWEST_IMAGES else None

    @property
    def images(self) -> int:
        """How many held-out images it rests on."""
        return sum(len(fold.scores) for fold in self.folds)

    def __call__(self, features: Floats) -> NoveltyResult:
        """Test images by their ``features (n, d)`` of :func:`image_features`."""
        scores = np.stack([fold.score(features) for fold in self.folds])
        as_odd = sum((fold.scores >= own[:, None]).sum(axis=1) for fold, own in zip(self.folds, scores, strict=True))
        deviations = [(features - fold.mean) / np.sqrt(np.diag(fold.covariance)) for fold in self.folds]
        return NoveltyResult((1 + as_odd) / (1 + self.images), scores.mean(axis=0), np.mean(deviations, axis=0), self.images)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, fit for JSON."""
        return {"folds": [{name: value.tolist() for name, value in vars(fold).items()} for fold in self.folds]}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`.  Raises RunError if ``content`` is something else."""
        try:
            return cls(tuple(Fold(**{name: np.array(value) for name, value in fold.items()}) for fold in content["folds"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise RunError(
                f"novelty test cannot be read ({error!r}); expected folds of mean, covariance and scores. "
                "Score the images again: `bayescope train DATA --out RUN --resume`"
            ) from None


def image_features(first_noise: Floats, x: Tensor) -> Floats:
    """Features of the novelty test.

    Parameters
    ----------
    first_noise : ndarray of shape (n, levels)
        ``-‖x - D‖²/σ²`` at one noise under the predicted class.
    x : Tensor of shape (n, channel, height, width)
        Images in model units.

    Returns
    -------
    ndarray of shape (n, levels + 2)
        Log errors, the mean of the pixels, and the log of their standard deviation, bounded below by one gray level of 8
        bits.
    """
    pixels = x.flatten(1).double().cpu().numpy()
    contrast = np.log(np.maximum(pixels.std(axis=1), _FAINTEST))
    return np.column_stack([np.log(np.maximum(-first_noise, _TINY)), pixels.mean(axis=1), contrast])


def fit_novelty(features: Floats, patients: Sequence[Hashable] | None = None, seed: int = 0) -> NoveltyTest:
    """Fit the novelty test.

    Parameters
    ----------
    features : ndarray of shape (n, d)
        Features of held-out images.
    patients : sequence of shape (n,), optional
        Patient of each image (default: each image is of another patient).
    seed : int, default 0
        Seed of the division into folds, which keep patients together.

    Returns
    -------
    NoveltyTest
        The test.

    Raises
    ------
    DataError
        For fewer than ``FEWEST_IMAGES`` images, or errors that are not finite.
    """
    if len(features) < FEWEST_IMAGES:
        raise DataError(
            f"{len(features)} held-out images; a novelty test expects at least {FEWEST_IMAGES}. Give a larger validation split"
        )
    if not np.isfinite(features).all():
        raise DataError("denoising errors that are NaN or infinite; expected finite ones. Leave out these held-out images")
    folds = _split(len(features), patients, seed)
    return NoveltyTest(tuple(_fit_fold(features[rest], features[own]) for rest, own in folds))


def _split(n: int, patients: Sequence[Hashable] | None, seed: int) -> Iterator[tuple[Labels, Labels]]:
    from sklearn.model_selection import GroupKFold, KFold

    if patients is None or len(set(patients)) < _FOLDS:
        return KFold(_FOLDS, shuffle=True, random_state=seed).split(np.empty(n))
    return GroupKFold(_FOLDS, shuffle=True, random_state=seed).split(np.empty(n), groups=list(patients))


def _fit_fold(others: Floats, own: Floats) -> Fold:
    from sklearn.covariance import LedoitWolf

    spread = np.maximum(others.std(axis=0), _TINY)
    correlation = LedoitWolf().fit(others / spread).covariance_
    mean, covariance = others.mean(axis=0), correlation * np.outer(spread, spread)
    return Fold(mean, covariance, _score(own, mean, covariance))


def _score(features: Floats, mean: Floats, covariance: Floats) -> Floats:
    n_features = len(mean)
    off = features - mean
    distance = (off * np.linalg.solve(covariance, off[:, :, None])[:, :, 0]).sum(axis=1)
    extreme = np.abs(off / np.sqrt(np.diag(covariance))).max(axis=1)
    pattern = chi2.logsf(distance, n_features)
    single = np.log(2 * n_features) + norm.logsf(extreme)
    return -np.minimum(pattern, single)
