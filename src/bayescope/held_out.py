"""What held-out images teach a trained model: weights, calibration, when to stop, what is odd, when to answer."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bayescope.answers import tell
from bayescope.calibration import choose_weighing
from bayescope.data.images import ImageSet
from bayescope.decision import Decisions, fit_decisions
from bayescope.evidence.bound import LevelEvidence, free_evidence
from bayescope.level_statistics import fit_level_statistics
from bayescope.model import LikelihoodModel
from bayescope.novelty import FEWEST_IMAGES, first_noise_log_errors, fit_novelty
from bayescope.recalibration import Calibration, cross_fitted_calibration, out_of_fold_evidence, stopping_offset
from bayescope.shapes import Floats


def calibrated(
    model: LikelihoodModel, held_out: ImageSet, callback: Callable[[int], None] = lambda images: None
) -> LikelihoodModel:
    """The same model with all that held-out images teach; ``callback`` hears of images weighed.

    That is the level weights and the calibration its configuration asks for, statistics for stopping early, the novelty test,
    prediction sets and abstention.  Calibration and decisions are fitted on evidence whose weights were fitted on other folds,
    patients kept whole.
    """
    settings, labels, patients = model.config.evidence, held_out.labels, held_out.groups
    levels = model.level_evidence(held_out.pixels, callback)
    calibration = cross_fitted_calibration(settings, levels, labels, model.class_prior, patients)
    weighing = choose_weighing(settings, levels, labels)
    free = [free_evidence(model.denoiser, model.checked(part), levels.sigmas) for part in model.parts(held_out.pixels)]
    first_noise = levels.first_noise(weighing.evidence(levels).argmax(axis=1))
    equal = np.full(len(model.class_names), 1 / len(model.class_names))
    offset = stopping_offset(calibration, equal)
    deciding = weighing if offset is None else replace(weighing, class_bias=weighing.class_bias + offset)
    return replace(
        model,
        weighing=weighing,
        statistics=fit_level_statistics(levels, np.concatenate(free), labels, deciding),
        ratio_calibration=calibration,
        novelty=fit_novelty(first_noise_log_errors(first_noise), patients) if len(labels) >= FEWEST_IMAGES else None,
        decisions=_decisions(model, calibration, levels, held_out) if calibration.calibrated else None,
    )


def _decisions(model: LikelihoodModel, calibration: Calibration, levels: LevelEvidence, held_out: ImageSet) -> Decisions:
    """On held-out answers at the model's own prior, of weights that were fitted on the other folds."""
    settings, labels = model.config.evidence, held_out.labels
    evidence = out_of_fold_evidence(settings, levels, labels, held_out.groups)
    passes = np.full(len(labels), levels.passes)
    answers = tell(evidence, model.class_prior, _no_error, passes, calibration)
    return fit_decisions(answers.posterior, labels, settings.miscoverage, settings.risk)


def _no_error(gradient: Floats) -> Floats:
    return np.zeros(len(gradient))
