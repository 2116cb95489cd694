"""Post-hoc fitting on held-out images: level weights, calibration, stopping rule, trust tests and decisions."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from bayescope.calibration.affine import BiasCorrectedTemperatureScaling
from bayescope.calibration.base import no_error
from bayescope.calibration.cross_fit import FitWeights, cross_fitted_calibration, level_weights_of_copies, out_of_fold
from bayescope.data.dataset import ImageSet
from bayescope.evidence.denoising import LevelEvidence, gaussian_evidence
from bayescope.evidence.plan_fit import fit_level_statistics
from bayescope.fitting.pooling import fit_poolings
from bayescope.inference.decisions import Decisions, fit_decisions
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
    predicted = _out_of_fold(model, copies, held_out, fit) if calibration.calibrated else None
    fitted = PostHoc(
        level_weights=level_weights,
        calibration=calibration,
        statistics=fit_level_statistics(levels, gaussian, labels, deciding),
        decisions=None if predicted is None else _decisions(model, predicted, held_out),
        tests={name: test for name, test in tests.items() if test is not None},
        poolings=() if predicted is None else fit_poolings(predicted, model.class_prior, held_out),
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


def _out_of_fold(
    model: LikelihoodModel, copies: Sequence[LevelEvidence], held_out: ImageSet, fit_weights: FitWeights
) -> Floats | None:
    """:func:`out_of_fold_posterior`; None with too few images of a class, or too few patients for folds within folds."""
    labels, patients = held_out.labels, _patients_of(held_out)
    fewest = np.bincount(labels, minlength=len(model.class_names)).min()
    if fewest < _FEWEST_OF_A_CLASS or len(np.unique(patients)) < _FEWEST_PATIENTS:
        return None
    return out_of_fold_posterior(model, copies, held_out, fit_weights)


def _decisions(model: LikelihoodModel, predicted: Floats, held_out: ImageSet) -> Decisions:
    """Fitted on predictions by weights and a calibration fitted on other patients; one image per patient counts."""
    settings, one_each = model.config.evidence, np.unique(_patients_of(held_out), return_index=True)[1]
    labels = held_out.labels[one_each]
    return fit_decisions(predicted[one_each], labels, settings.miscoverage, settings.risk, model.class_prior)


def _patients_of(held_out: ImageSet) -> np.ndarray:
    """Patient of each image ``(n,)``; without patients each image is another's."""
    return np.arange(len(held_out)) if held_out.groups is None else np.array(held_out.groups)


def out_of_fold_posterior(
    model: LikelihoodModel, copies: Sequence[LevelEvidence], held_out: ImageSet, fit_weights: FitWeights | None = None
) -> Floats:
    """Posterior of the ``held_out`` images ``(n, classes)`` by weights and a calibration fitted on those of other patients.

    ``copies`` and ``fit_weights`` as of :func:`fitted_to`; at the model's prior.
    """
    settings, labels, prior = model.config.evidence, held_out.labels, model.class_prior
    fit = fit_weights or partial(level_weights_of_copies, settings)
    patients = _patients_of(held_out)

    def posterior(fitting: Labels, asked: Labels) -> Floats:
        known, of_known = [copy.subset(fitting) for copy in copies], labels[fitting]
        calibration = cross_fitted_calibration(settings, known, of_known, prior, patients[fitting].tolist(), fit)
        evidence = fit(known, of_known).evidence(copies[0].subset(asked))
        return predict_from_evidence(evidence, prior, no_error, np.full(len(asked), copies[0].passes), calibration).posterior

    return out_of_fold(posterior, labels, held_out.groups)
