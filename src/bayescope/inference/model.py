"""The likelihood model: a trained denoiser with its calibration, stopping rule and trust tests, which classifies images."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Self

import numpy as np
from torch import Tensor

from bayescope.calibration import Calibration
from bayescope.calibration.base import no_error
from bayescope.errors import ConfigError
from bayescope.evidence.denoising import LevelEvidence, first_noise_evidence
from bayescope.evidence.denoising_errors import rows_per_batch
from bayescope.evidence.level_weights import LevelWeights
from bayescope.evidence.plan import LevelStatistics, Plan
from bayescope.evidence.sequential import SequentialEvidence, check_stopping_settings, score_sequentially
from bayescope.inference.decisions import Decision, Decisions
from bayescope.inference.drift import DriftTest
from bayescope.inference.evidence_maps import ClassMaps, class_maps
from bayescope.inference.novelty import NoveltyTest
from bayescope.inference.post_hoc import PostHoc
from bayescope.inference.predictions import ClassPrior, Predictions, check_prior, predict_from_evidence
from bayescope.inference.trained import TrainedModel
from bayescope.inference.trust import ScoredImages
from bayescope.types import Floats, Pixels

Watch = Callable[[Predictions, int], None]
"""Takes predictions of images that are still being scored, and the index of the first of them."""


@dataclass(frozen=True)
class LikelihoodModel(TrainedModel):
    """A trained denoiser with everything needed to classify stored images.

    Parameters
    ----------
    config, denoiser, scale, pixel_type, class_names, class_prior, preparation, sizing
        As of :class:`bayescope.inference.trained.TrainedModel`.
    post_hoc : PostHoc
        Everything that was estimated on held-out images.
    """

    post_hoc: PostHoc

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

    def drift_test(self, class_prior: Floats, window: int, alpha: float) -> DriftTest:
        """The test whether the last ``window`` images of a site, with ratios at ``class_prior``, are like the held-out ones.

        ``alpha``: chance of any false alarm; see :class:`bayescope.inference.drift.DriftTest`.
        """
        images = 0 if self.novelty is None else self.novelty.images
        return DriftTest.against(self.post_hoc.reference, images, class_prior, window, alpha)

    def with_post_hoc(self, **parts: Any) -> Self:
        """A copy of the model with other ``parts`` of its :class:`PostHoc`."""
        return replace(self, post_hoc=replace(self.post_hoc, **parts))

    @cached_property
    def plan(self) -> Plan | None:
        """In which order to spend passes."""
        return None if self.statistics is None else Plan(self.statistics, self.level_weights.weights)

    def classify(
        self,
        pixels: Pixels,
        class_prior: ClassPrior | None = None,
        disagreement_rate: float | None = None,
        max_passes: int | None = None,
        callback: Callable[[int], None] = lambda images: None,
        trust_tests: bool = False,
        watch: Watch | None = None,
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
            Share of predictions that may differ from the full evaluation's; 0 scores in full, whatever passes are configured
            (default: as configured).
        max_passes : int, optional
            Largest number of network passes per image, not counting trust tests (default: as configured).
        callback : callable, optional
            Called with the number of images scored since its last call.
        trust_tests : bool, default False
            Whether to run the trust tests, such as the novelty test, after an early stop too, at one more pass for every level
            at which the predicted class was not scored.  After a full evaluation they are always run.
        watch : callable, optional
            Called while images are scored with the predictions so far of those scored together, and the index of the first of
            them: after each round of draws, in a full evaluation after each noise.

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
        in_full = disagreement_rate == 0 and max_passes is None  # asked for: goes before a budget of the configuration
        disagreement_rate = settings.disagreement_rate if disagreement_rate is None else disagreement_rate
        max_passes = settings.max_passes if max_passes is None and not in_full else max_passes
        check_stopping_settings(disagreement_rate, max_passes, len(self.class_names))
        prior = self._prior(class_prior)
        offset = self.calibration.stopping_offset(prior)
        if self.plan is None or offset is None:
            _refuse_budget(max_passes)
            offset = None
        found = list[Predictions]()
        for part in self.parts(pixels):
            seen = _watched_from(watch, sum(len(done.passes) for done in found))
            if offset is None or (disagreement_rate == 0 and max_passes is None):
                found.append(self._classify_in_full(part, prior, callback, seen))
            else:
                rest = disagreement_rate, max_passes, callback, trust_tests, seen
                found.append(self._classify_early(self.checked(part), prior, offset, *rest))
        return Predictions.joined(found)

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

    def _classify_in_full(
        self, pixels: Pixels, prior: Floats, callback: Callable[[int], None], watch: Watch | None
    ) -> Predictions:
        def seen(levels: LevelEvidence, first: int) -> None:
            assert watch is not None
            watch(self.predict_from_levels(levels, prior), first)

        return self.predict_from_levels(self.level_evidence(pixels, callback, watch=seen if watch else None), prior, pixels)

    def _classify_early(
        self,
        x: Tensor,
        prior: Floats,
        offset: Floats,
        disagreement_rate: float,
        max_passes: int | None,
        callback: Callable[[int], None],
        trust_tests: bool,
        watch: Watch | None,
    ) -> Predictions:
        assert self.plan is not None
        (sigmas, noise), bias = self.draws(), self.level_weights.class_bias

        def seen(found: SequentialEvidence, first: int) -> None:
            assert watch is not None
            error = found.standard_error
            watch(predict_from_evidence(found.values + bias, prior, error, found.passes, self.calibration), first)

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
        sigmas, noise = self.draws()
        at_once = rows_per_batch(self.image_shape, 4 * len(self.class_names))
        return class_maps(self.denoiser.under_every_class, self.checked(pixels), sigmas, noise, level_weights, at_once)

    def _prior(self, class_prior: ClassPrior | None) -> Floats:
        return self.class_prior if class_prior is None else check_prior(class_prior, self.class_names)


def _watched_from(watch: Watch | None, first: int) -> Watch | None:
    """``watch`` of images whose indices begin at ``first``."""
    return None if watch is None else lambda found, index: watch(found, first + index)


def _refuse_budget(max_passes: int | None) -> None:
    if max_passes is not None:
        raise ConfigError(
            f"max_passes {max_passes}; this model cannot stop early: it was fitted on too few validation images, or calibrated "
            "isotonically. Train it with at least 16 validation images and affine calibration, or leave max_passes out"
        )
