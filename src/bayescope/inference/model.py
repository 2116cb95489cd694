"""The likelihood model: a trained denoiser with its scoring settings, calibration and post-hoc tests."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bayescope.calibration import Calibration
from bayescope.calibration.base import no_error
from bayescope.config import Config
from bayescope.data.dataset import PixelScale
from bayescope.data.formats.resize import Sizing
from bayescope.data.preparation.mammogram import Preparation
from bayescope.diffusion.denoiser import Denoiser
from bayescope.diffusion.sampling import sample
from bayescope.diffusion.schedules import log_spaced
from bayescope.errors import ConfigError
from bayescope.evidence.denoising import LevelEvidence, draw_noise, first_noise_evidence, level_evidence, rows_per_batch
from bayescope.evidence.level_weights import LevelWeights
from bayescope.evidence.plan import LevelStatistics, Plan
from bayescope.evidence.sequential import SequentialEvidence, check_stopping_settings, score_sequentially
from bayescope.inference.decisions import Decision, Decisions
from bayescope.inference.evidence_maps import ClassMaps, class_maps
from bayescope.inference.model_units import in_parts, to_model_units
from bayescope.inference.novelty import NoveltyTest
from bayescope.inference.post_hoc import PostHoc
from bayescope.inference.predictions import ClassPrior, Predictions, check_prior, predict_from_evidence
from bayescope.inference.trust import ScoredImages
from bayescope.types import Floats, Pixels


@dataclass(frozen=True)
class LikelihoodModel:
    """A trained denoiser with everything needed to score stored images.

    Parameters
    ----------
    config : Config
        The configuration it was trained with, including the settings of scoring.
    denoiser : Denoiser
        The trained denoiser.
    scale : PixelScale
        The map from stored pixel values to the model's range.
    pixel_type : str
        Type of the training images as stored: ``"uint8"``, ``"uint16"`` or ``"float32"``.
    class_names : tuple of str
        Names of the classes.
    class_prior : ndarray of shape (classes,)
        Default probability of each class.
    post_hoc : PostHoc
        Everything that was estimated on held-out images.
    preparation : Preparation, optional
        How its images were prepared from mammograms; new ones are prepared in the same way.
    sizing : str, optional
        How its images were resized: ``"unchanged"`` or ``"fitted"``; None if that was not recorded.
    """

    config: Config
    denoiser: Denoiser
    scale: PixelScale
    pixel_type: str
    class_names: tuple[str, ...]
    class_prior: Floats
    post_hoc: PostHoc
    preparation: Preparation | None = None
    sizing: Sizing | None = None

    @property
    def level_weights(self) -> LevelWeights:
        """Weights of the noise levels."""
        return self.post_hoc.level_weights

    @property
    def statistics(self) -> LevelStatistics | None:
        """How evidence varies over levels, noises and images; None if there were too few held-out images to estimate this."""
        return self.post_hoc.statistics

    @property
    def calibration(self) -> Calibration:
        """What raw evidence is worth."""
        return self.post_hoc.calibration

    @property
    def novelty(self) -> NoveltyTest | None:
        """The novelty test, ``post_hoc.tests["novelty"]``; None if there were too few held-out images to fit it on."""
        test = self.post_hoc.tests.get("novelty")
        return test if isinstance(test, NoveltyTest) else None

    @property
    def decisions(self) -> Decisions | None:
        """Prediction sets and abstention; None if there were too few held-out images to fit them on."""
        return self.post_hoc.decisions

    def with_post_hoc(self, **parts: Any) -> Self:
        """A copy of the model with other ``parts`` of its :class:`PostHoc`."""
        return replace(self, post_hoc=replace(self.post_hoc, **parts))

    @cached_property
    def plan(self) -> Plan | None:
        """In which order to spend passes."""
        return None if self.statistics is None else Plan(self.statistics, self.level_weights.weights)

    @property
    def sigmas(self) -> Floats:
        """Noise levels that images are scored at, rising: ``(levels,)``."""
        settings = self.config.evidence
        return log_spaced(settings.sigma_min, settings.sigma_max, settings.levels).double().numpy()

    def by_class(self, values: Sequence[float] | NDArray[Any]) -> dict[str, Any]:
        """Values of the classes as a dictionary.

        Parameters
        ----------
        values : sequence of shape (classes,)
            One value for each class.

        Returns
        -------
        dict
            Plain numbers by class name.
        """
        return dict(zip(self.class_names, np.asarray(values).tolist(), strict=True))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.denoiser.image_shape

    def level_evidence(
        self,
        pixels: Pixels,
        callback: Callable[[int], None] = lambda images: None,
        batch_size: int | None = None,
        change: Callable[[Tensor], Tensor] = lambda x: x,
    ) -> LevelEvidence:
        """Evidence of stored images at each noise level.

        Parameters
        ----------
        pixels : ndarray of shape (n, channel, height, width)
            Stored pixel values, in memory or memory-mapped.
        callback : callable, optional
            Called with the number of images scored since its last call.
        batch_size : int, optional
            Images per batch (default: as many as memory bounds allow).
        change : callable, optional
            Applied first to the images in model units.

        Returns
        -------
        LevelEvidence
            Evidence of each image, class, level and noise.

        Raises
        ------
        DataError
            If the images are of another shape than the model's, not finite, or in other units.
        """
        sigmas, noise = self._draws()
        parts = (change(self.checked(part)) for part in self.parts(pixels))
        return LevelEvidence.joined([level_evidence(self.denoiser, x, sigmas, noise, batch_size, callback) for x in parts])

    def classify(
        self,
        pixels: Pixels,
        class_prior: ClassPrior | None = None,
        disagreement_rate: float | None = None,
        max_passes: int | None = None,
        callback: Callable[[int], None] = lambda images: None,
        trust_tests: bool = False,
        watch: Callable[[Predictions], None] | None = None,
    ) -> Predictions:
        """Score stored images until the predicted class is determined, and apply Bayes' rule.

        Without statistics of held-out images, or with an isotonic calibration, every image is scored in full.

        Parameters
        ----------
        pixels : ndarray of shape (n, channel, height, width)
            Stored pixel values, in memory or memory-mapped.
        class_prior : sequence or mapping of float, optional
            Probability of each class, in the order of ``class_names`` or by name (default: the model's own).
        disagreement_rate : float, optional
            Share of predictions that may differ from the full evaluation's; 0 scores in full (default: as configured).
        max_passes : int, optional
            Largest number of network passes per image, not counting trust tests (default: as configured).
        callback : callable, optional
            Called with the number of images scored since its last call.
        trust_tests : bool, default False
            Whether to run the trust tests, such as the novelty test, after an early stop too, at one more pass for every level
            at which the predicted class was not scored.  After a full evaluation they are always run.
        watch : callable, optional
            Called after each round of draws with the predictions so far, of the images scored together; not in a full
            evaluation.

        Returns
        -------
        Predictions
            Predictions of the images.

        Raises
        ------
        DataError
            If the images are of another shape than the model's, not finite, or in other units.
        ConfigError
            If the prior, the rate or the number of passes is not possible.

        Examples
        --------
        >>> model.classify(pixels, {"malignant": 0.01, "benign": 0.99}).posterior  # doctest: +SKIP
        """
        settings = self.config.evidence
        disagreement_rate = settings.disagreement_rate if disagreement_rate is None else disagreement_rate
        max_passes = settings.max_passes if max_passes is None else max_passes
        check_stopping_settings(disagreement_rate, max_passes, len(self.class_names))
        prior = self._prior(class_prior)
        offset = self.calibration.stopping_offset(prior)
        if self.plan is None or offset is None:
            _refuse_budget(max_passes)
            offset = None
        if offset is None or (disagreement_rate == 0 and max_passes is None):
            parts = [self.predict_from_levels(self.level_evidence(part, callback), prior, part) for part in self.parts(pixels)]
        else:
            rest = offset, disagreement_rate, max_passes, callback, trust_tests, watch
            parts = [self._classify_early(self.checked(part), prior, *rest) for part in self.parts(pixels)]
        return Predictions.joined(parts)

    def predict_from_levels(
        self, levels: LevelEvidence, class_prior: ClassPrior | None = None, pixels: Pixels | None = None
    ) -> Predictions:
        """Apply Bayes' rule to the evidence of a full evaluation.

        Parameters
        ----------
        levels : LevelEvidence
            Evidence of the images by :meth:`level_evidence`.
        class_prior : sequence or mapping of float, optional
            Probability of each class, in the order of ``class_names`` or by name (default: the model's own).
        pixels : ndarray of shape (n, channel, height, width), optional
            The same images, for the trust tests (default: no tests).

        Returns
        -------
        Predictions
            Predictions of the images.

        Raises
        ------
        ConfigError
            If the prior is not a probability distribution.
        """
        evidence, trust = self.level_weights.evidence(levels), None
        if pixels is not None:
            first_noise = levels.first_noise(evidence.argmax(axis=1))
            trust = self.post_hoc.test(ScoredImages(self.checked(pixels), evidence, first_noise))
        passes = np.full(len(levels.values), levels.passes)
        error = partial(self.level_weights.standard_error, levels)
        return predict_from_evidence(evidence, self._prior(class_prior), error, passes, self.calibration, trust)

    def _classify_early(
        self,
        x: Tensor,
        prior: Floats,
        offset: Floats,
        disagreement_rate: float,
        max_passes: int | None,
        callback: Callable[[int], None],
        trust_tests: bool,
        watch: Callable[[Predictions], None] | None,
    ) -> Predictions:
        assert self.plan is not None
        (sigmas, noise), bias = self._draws(), self.level_weights.class_bias

        def seen(found: SequentialEvidence) -> None:
            assert watch is not None
            error = found.standard_error
            watch(predict_from_evidence(found.values + bias, prior, error, found.passes, self.calibration))

        found = score_sequentially(
            *(self.denoiser, x, sigmas, noise, self.plan, bias + offset, disagreement_rate, max_passes),
            callback=callback,
            watch=seen if watch else None,
        )
        evidence, passes, trust = found.values + bias, found.passes, None
        if trust_tests:
            leader = evidence.argmax(axis=1)
            first_noise = found.first_noise(leader)
            if self.post_hoc.needs_first_noise:
                passes = passes + np.isnan(first_noise).sum(axis=1)
                first_noise = first_noise_evidence(self.denoiser, x, sigmas, noise, leader, first_noise)
            trust = self.post_hoc.test(ScoredImages(x, evidence, first_noise))
        return predict_from_evidence(evidence, prior, found.standard_error, passes, self.calibration, trust)

    def decide(self, predictions: Predictions) -> Decision | None:
        """Prediction sets and abstention, at the prior they were fitted at.

        The guarantees hold for images like the held-out ones, scored in full.

        Parameters
        ----------
        predictions : Predictions
            Predictions of the images, at any prior.

        Returns
        -------
        Decision or None
            None if sets and abstention were not fitted.
        """
        if self.decisions is None:
            return None
        prior = np.array(self.decisions.prior)
        return self.decisions(
            predict_from_evidence(predictions.evidence, prior, no_error, predictions.passes, self.calibration).posterior
        )

    def evidence_maps(self, pixels: Pixels) -> ClassMaps:
        """Evidence of each pixel, which adds up to the calibrated log-ratios (isotonic calibration: to the raw ones).

        Parameters
        ----------
        pixels : ndarray of shape (n, channel, height, width)
            Stored pixel values, in memory or memory-mapped.

        Returns
        -------
        ClassMaps
            Maps of each class, level and pixel.  The cost is that of a full evaluation.

        Raises
        ------
        DataError
            If the images are of another shape than the model's, not finite, or in other units.
        """
        level_weights = self.calibration.calibrated_weights(self.level_weights)
        sigmas, noise = self._draws()
        at_once = rows_per_batch(self.image_shape, 4 * len(self.class_names))
        return class_maps(self.denoiser.under_every_class, self.checked(pixels), sigmas, noise, level_weights, at_once)

    def sample(self, per_class: int, steps: int = 24, seed: int = 0) -> Floats:
        """Draw samples of every class.

        Parameters
        ----------
        per_class : int
            Number of samples of each class.
        steps : int, default 24
            Steps of the solver from noise to image.
        seed : int, default 0
            Seed of the noise; the i-th sample of every class starts from the same noise.

        Returns
        -------
        ndarray of shape (classes, per_class, channel, height, width)
            Images in the model's range, about -1 to 1.
        """
        rows = []
        for k in range(len(self.class_names)):
            rows.append(sample(self.denoiser, torch.full((per_class,), k), steps, seed).float().cpu().numpy())
        return np.stack(rows)

    def _prior(self, class_prior: ClassPrior | None) -> Floats:
        return self.class_prior if class_prior is None else check_prior(class_prior, self.class_names)

    def checked(self, pixels: Pixels) -> Tensor:
        """Convert stored images to model units, on the model's device.

        For the rules of units see :func:`bayescope.data.units.in_training_units`.

        Parameters
        ----------
        pixels : ndarray of shape (n, channel, height, width)
            Stored pixel values, in memory or memory-mapped.

        Returns
        -------
        Tensor
            The images, about -1 to 1.

        Raises
        ------
        DataError
            If the images are of another shape than the model's, not finite, or in other units.
        """
        x = to_model_units(pixels, self.image_shape, self.pixel_type, self.scale)
        return torch.from_numpy(x).to(self.denoiser.mean.device)

    def parts(self, pixels: Pixels) -> Iterator[Pixels]:
        """Divide images into parts of bounded memory, at least one; memory-mapped images are not loaded.

        Parameters
        ----------
        pixels : ndarray of shape (n, channel, height, width)
            Stored images.

        Yields
        ------
        ndarray
            Consecutive images.
        """
        settings = self.config.evidence
        return in_parts(pixels, len(self.class_names) * settings.levels * settings.noises)

    def _draws(self) -> tuple[Floats, Tensor]:
        """Levels ``(levels,)`` and the noises that all images share ``(levels, noises, channel, height, width)``."""
        settings = self.config.evidence
        return self.sigmas, draw_noise(settings.levels, settings.noises, self.image_shape, self.config.seed)


def _refuse_budget(max_passes: int | None) -> None:
    if max_passes is not None:
        raise ConfigError(
            f"max_passes {max_passes}; this model cannot stop early: it was fitted on too few validation images, or calibrated "
            "isotonically. Train it with at least 16 validation images and affine calibration, or leave max_passes out"
        )
