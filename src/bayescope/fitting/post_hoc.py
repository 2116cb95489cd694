"""Post-hoc fitting on held-out images: level weights, calibration, stopping rule, trust tests and decisions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from bayescope.calibration import Calibration
from bayescope.calibration.affine import BiasCorrectedTemperatureScaling
from bayescope.calibration.base import no_error
from bayescope.calibration.cross_fit import FitWeights, cross_fitted_calibration, level_weights_of_copies, out_of_fold
from bayescope.data.dataset import ImageSet
from bayescope.evidence.denoising import LevelEvidence, gaussian_evidence
from bayescope.evidence.level_weights import LevelWeights
from bayescope.evidence.plan import LevelStatistics, Plan
from bayescope.evidence.plan_fit import fit_level_statistics
from bayescope.evidence.stopping import simulate
from bayescope.fitting.pooling import fit_poolings
from bayescope.inference.decisions import Decisions, fit_decisions
from bayescope.inference.drift import Reference
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.post_hoc import PostHoc
from bayescope.inference.predictions import predict_from_evidence
from bayescope.inference.trust import ScoredImages
from bayescope.inference.trust_tests import TRUST_TESTS
from bayescope.training.augmentation import Augment
from bayescope.types import Floats, Labels, Pixels

_FEWEST_PATIENTS = 3
_FEWEST_OF_A_CLASS = 2 * BiasCorrectedTemperatureScaling.fewest_images


def calibrated(
    model: LikelihoodModel,
    held_out: ImageSet,
    shift: Augment | None,
    callback: Callable[[int], None] = lambda images: None,
) -> LikelihoodModel:
    """Fit everything that is estimated on held-out images; ``callback`` is called with images scored.

    That is the level weights and the calibration of the configuration of ``model``, statistics for stopping early, the trust
    tests, prediction sets and abstention.  Calibration and decisions are fitted on evidence whose weights were fitted on other
    folds of ``held_out``, which keep patients together.  Weights and calibration also use a copy of every image augmented by
    ``shift``, if given (:func:`bayescope.fitting.fit.calibration_augmentation`); the rest uses the unchanged images.
    """
    labels = held_out.labels
    copies = [model.level_evidence(held_out.pixels, callback)]
    if shift is not None and len(labels):
        change = shift.in_turn(len(labels), torch.Generator().manual_seed(model.config.seed))
        copies.append(model.level_evidence(held_out.pixels, callback, change=change))
    return fitted_to(model, copies, held_out)


def fitted_to(
    model: LikelihoodModel, copies: Sequence[LevelEvidence], held_out: ImageSet, fit_weights: FitWeights | None = None
) -> LikelihoodModel:
    """As :func:`calibrated`, from the evidence of the ``held_out`` images and, after it, that of their augmented copies.

    ``fit_weights``: fits the level weights (default: as configured).
    """
    settings, labels, patients = model.config.evidence, held_out.labels, held_out.groups
    fit, levels = fit_weights or partial(level_weights_of_copies, settings), copies[0]
    calibration = cross_fitted_calibration(settings, copies, labels, model.class_prior, patients, fit)
    level_weights = fit(copies, labels)
    gaussian, features = _of_images(model, held_out.pixels, levels, level_weights.evidence(levels))
    equal = np.full(len(model.class_names), 1 / len(model.class_names))
    offset = calibration.stopping_offset(equal)
    deciding = level_weights if offset is None else replace(level_weights, class_bias=level_weights.class_bias + offset)
    tests = {name: test.fit(features[name], labels, patients) for name, test in TRUST_TESTS.items()}
    statistics = fit_level_statistics(levels, gaussian, labels, deciding, model.denoiser.relative_cost(levels.sigmas))
    predicted = None
    if calibration.calibrated:
        predicted = _out_of_fold(model, copies, held_out, fit, _Replay(model, statistics, levels, gaussian))
    fitted = PostHoc(
        level_weights=level_weights,
        calibration=calibration,
        statistics=statistics,
        decisions=None if predicted is None else _decisions(model, predicted.in_full, held_out),
        reference=None if predicted is None else _reference(model, predicted.as_scored, held_out),
        tests={name: test for name, test in tests.items() if test is not None},
        poolings=() if predicted is None else fit_poolings(np.exp(predicted.in_full), model.class_prior, held_out),
    )
    return replace(model, post_hoc=fitted)


def _of_images(
    model: LikelihoodModel, pixels: Pixels, levels: LevelEvidence, evidence: Floats
) -> tuple[Floats, dict[str, Floats]]:
    """Gaussian evidence, and the features of each trust test by name, a few images at a time."""
    first_noise = levels.first_noise(evidence.argmax(axis=1))
    gaussian, start = [], 0
    features: dict[str, list[Floats]] = {name: [] for name in TRUST_TESTS}
    for x in map(model.checked, model.parts(pixels)):
        gaussian.append(gaussian_evidence(model.denoiser, x, levels.sigmas))
        part = slice(start, start + len(x))
        scored = ScoredImages(x, evidence[part], first_noise[part])
        for name, test in TRUST_TESTS.items():
            features[name].append(test.features(scored))
        start += len(x)
    return np.concatenate(gaussian), {name: np.concatenate(parts) for name, parts in features.items()}


@dataclass(frozen=True)
class _Replay:
    """Held-out images scored as :meth:`LikelihoodModel.classify` scores new ones, from draws of a full evaluation."""

    model: LikelihoodModel
    statistics: LevelStatistics | None
    levels: LevelEvidence
    gaussian: Floats

    def __call__(self, level_weights: LevelWeights, calibration: Calibration, asked: Labels) -> Floats:
        """Evidence of the images ``asked``: ``(m, classes)``."""
        settings, levels = self.model.config.evidence, self.levels.subset(asked)
        offset = calibration.stopping_offset(self.model.class_prior)
        in_full = settings.disagreement_rate == 0 and settings.max_passes is None
        if self.statistics is None or offset is None or in_full:
            return level_weights.evidence(levels)
        plan, bias = Plan(self.statistics, level_weights.weights), level_weights.class_bias
        share = self.statistics.share(settings.disagreement_rate)

        def draw(level: int, j: int, image: Labels, label: Labels) -> Floats:
            return levels.values[image, label, level, j]

        trace = simulate(plan, self.gaussian[asked], draw, bias + offset, share, settings.max_passes)
        return trace.values(plan) + bias


@dataclass(frozen=True)
class _Predicted:
    """Out-of-fold log posterior of held-out images, scored in full and as new images are: ``(n, classes)`` each."""

    in_full: Floats
    as_scored: Floats


def _out_of_fold(
    model: LikelihoodModel, copies: Sequence[LevelEvidence], held_out: ImageSet, fit_weights: FitWeights, replay: _Replay
) -> _Predicted | None:
    """None with too few images of a class, or too few patients for folds within folds."""
    fewest = np.bincount(held_out.labels, minlength=len(model.class_names)).min()
    if fewest < _FEWEST_OF_A_CLASS or len(np.unique(_patients_of(held_out))) < _FEWEST_PATIENTS:
        return None
    return _Predicted(*_out_of_fold_log_posterior(model, copies, held_out, fit_weights, replay).swapaxes(0, 1))


def _decisions(model: LikelihoodModel, log_posterior: Floats, held_out: ImageSet) -> Decisions:
    """Fitted on predictions by weights and a calibration fitted on other patients; one image per patient counts."""
    settings, one_each = model.config.evidence, _one_image_each(held_out)
    posterior, labels = np.exp(log_posterior[one_each]), held_out.labels[one_each]
    return fit_decisions(posterior, labels, settings.miscoverage, settings.risk, model.class_prior)


def _reference(model: LikelihoodModel, log_posterior: Floats, held_out: ImageSet) -> Reference:
    """One image per patient counts."""
    return Reference(log_posterior[_one_image_each(held_out)] - np.log(model.class_prior))


def _one_image_each(held_out: ImageSet) -> Labels:
    """The first image of every patient."""
    return np.unique(_patients_of(held_out), return_index=True)[1]


def _patients_of(held_out: ImageSet) -> np.ndarray:
    """Patient of each image ``(n,)``; without patients each image is another's."""
    return np.arange(len(held_out)) if held_out.groups is None else np.array(held_out.groups)


def out_of_fold_posterior(
    model: LikelihoodModel, copies: Sequence[LevelEvidence], held_out: ImageSet, fit_weights: FitWeights | None = None
) -> Floats:
    """Posterior of the ``held_out`` images ``(n, classes)`` by weights and a calibration fitted on those of other patients.

    ``copies`` and ``fit_weights`` as of :func:`fitted_to`; at the model's prior, of images scored in full.
    """
    return np.exp(_out_of_fold_log_posterior(model, copies, held_out, fit_weights)[:, 0])


def _out_of_fold_log_posterior(
    model: LikelihoodModel,
    copies: Sequence[LevelEvidence],
    held_out: ImageSet,
    fit_weights: FitWeights | None = None,
    replay: _Replay | None = None,
) -> Floats:
    """Of images scored in full, and of the same as scored by ``replay``, if given: ``(n, 1 or 2, classes)``."""
    settings, labels, prior = model.config.evidence, held_out.labels, model.class_prior
    fit = fit_weights or partial(level_weights_of_copies, settings)
    patients = _patients_of(held_out)

    def log_posterior(fitting: Labels, asked: Labels) -> Floats:
        known, of_known = [copy.subset(fitting) for copy in copies], labels[fitting]
        calibration = cross_fitted_calibration(settings, known, of_known, prior, patients[fitting].tolist(), fit)
        level_weights = fit(known, of_known)
        evidence = [level_weights.evidence(copies[0].subset(asked))]
        evidence += [replay(level_weights, calibration, asked)] if replay else []
        passes = np.full(len(asked), copies[0].passes)
        found = [predict_from_evidence(each, prior, no_error, passes, calibration).log_posterior for each in evidence]
        return np.stack(found, axis=1)

    return out_of_fold(log_posterior, labels, held_out.groups)
