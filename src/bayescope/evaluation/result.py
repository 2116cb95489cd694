"""What is measured of a model's predictions to labelled images: discrimination, calibration, prediction sets and abstention."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bayescope.data.dataset import ImageSet
from bayescope.evaluation.selection import ChosenImages
from bayescope.inference.abstention import risk_coverage
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.predictions import Predictions
from bayescope.metrics.bootstrap import Estimate, bootstrap, by_image
from bayescope.metrics.calibration import assess, expected_if_calibrated
from bayescope.metrics.classification import confusion, measure, measure_classes
from bayescope.types import Floats, Labels

_TINY = 1e-9


@dataclass(frozen=True)
class Trust:
    """A measure of calibration, with the value expected of perfectly calibrated probabilities.

    Parameters
    ----------
    measured : Estimate
        The measured value.
    expected_if_calibrated : Estimate
        The value expected of perfectly calibrated probabilities on as many images.
    """

    measured: Estimate
    expected_if_calibrated: Estimate


@dataclass(frozen=True)
class Evaluation:
    """Measures of a model on labelled images; values of classes are by name.

    Parameters
    ----------
    model : LikelihoodModel
        The model.
    images : ImageSet
        The images.
    predictions : Predictions
        Predictions of the images.
    measures : mapping of str to Estimate
        Measures of all classes together.
    by_class : mapping of str to mapping
        Measures of each class against the rest; predictive values at ``predictions.class_prior``.
    trust : mapping of str to mapping
        Calibration of each class's ratios.
    decisions : dict or None
        Guaranteed and measured rates of prediction sets and abstention; None if the model has none.
    positive : str, optional
        Class of the headline.
    """

    model: LikelihoodModel
    images: ImageSet
    predictions: Predictions
    measures: Mapping[str, Estimate]
    by_class: Mapping[str, Mapping[str, Estimate]]
    trust: Mapping[str, Mapping[str, Trust]]
    decisions: dict[str, Any] | None
    positive: str | None = None

    @property
    def prevalence(self) -> dict[str, float]:
        """Prior probability of each class, as assumed by the predictions."""
        return self.model.by_class(self.predictions.class_prior)

    @property
    def class_counts(self) -> dict[str, int]:
        """Images of each class."""
        return self.model.by_class(np.bincount(self.images.labels, minlength=len(self.model.class_names)))

    @property
    def confusion(self) -> dict[str, dict[str, int]]:
        """How many images of each true class are called each class, by name."""
        counts = confusion(self.predictions.posterior, self.images.labels)
        return {name: self.model.by_class(row) for name, row in zip(self.model.class_names, counts, strict=True)}

    def to_dict(self, chosen: ChosenImages | None = None) -> dict[str, Any]:
        """The evaluation as values for JSON.

        Parameters
        ----------
        chosen : ChosenImages, optional
            How the images were selected.

        Returns
        -------
        dict
            What ``bayescope evaluate --json`` prints.
        """
        model, groups = self.model, self.images.groups
        record: dict[str, Any] = {}
        if chosen:
            record = {"split": chosen.name, "seen": chosen.seen, "left_out": chosen.left_out}
        told = [*(chosen.warnings if chosen else ()), model.calibration.warning]
        return record | {
            "images": len(self.images),
            "classes": list(model.class_names),
            "positive": self.positive,
            "prevalence": self.prevalence,
            "passes": self.predictions.mean_passes,
            "patients": None if groups is None else len(set(groups)),
            "calibrated": model.calibration.calibrated,
            "calibration_images": model.by_class(model.calibration.images),
            "decisions": self.decisions,
            "files": chosen.data.files.to_dict() if chosen else None,
            "warnings": [text for text in told if text],
            "measures": {name: asdict(estimate) for name, estimate in self.measures.items()},
            "by_class": {
                name: {"images": self.class_counts[name], **{what: asdict(estimate) for what, estimate in rows.items()}}
                for name, rows in self.by_class.items()
            },
            "confusion": self.confusion,
            "trust": {name: {what: asdict(row) for what, row in rows.items()} for name, rows in self.trust.items()},
        }


def measured(model: LikelihoodModel, images: ImageSet, predictions: Predictions, positive: str | None = None) -> Evaluation:
    """Measure ``predictions`` to ``images``."""
    posterior, labels = predictions.posterior, images.labels
    return Evaluation(
        model,
        images,
        predictions,
        measure(posterior, labels, images.groups) | {"AURC": _aurc(predictions, images)},
        measure_classes(posterior, labels, model.class_names, predictions.class_prior, images.groups),
        _trust(model, predictions, images),
        _decisions(model, predictions, images),
        positive,
    )


def _aurc(predictions: Predictions, images: ImageSet) -> Estimate:
    """Mean share of errors over all shares of images answered, the surest first."""
    posterior, labels = predictions.posterior, images.labels

    def area(chosen: Labels) -> Floats:
        return np.array([risk_coverage(posterior[chosen], labels[chosen]).area])

    return bootstrap(by_image(area), len(labels), images.groups, kind="basic")[0]


def _trust(model: LikelihoodModel, predictions: Predictions, images: ImageSet) -> dict[str, dict[str, Trust]]:
    """Whether ratios and probabilities mean what they say: for each class against the rest, each measure.

    Probabilities are those at the class frequencies of these very images, so that a prevalence given amiss is no fault of the
    ratios.
    """
    counts = np.maximum(np.bincount(images.labels, minlength=images.n_classes), 1)
    posterior = predictions.posterior_at(counts / counts.sum())
    found = assess(predictions.log_likelihood_ratio, posterior, images.labels, images.groups)
    return {name: _beside_expected(found[k], posterior[:, k]) for k, name in enumerate(model.class_names)}


def _beside_expected(found: dict[str, Estimate], probability: Floats) -> dict[str, Trust]:
    expected = expected_if_calibrated(probability.clip(_TINY, 1 - _TINY))
    return {what: Trust(value, expected[what]) for what, value in found.items()}


def _decisions(model: LikelihoodModel, predictions: Predictions, images: ImageSet) -> dict[str, Any] | None:
    """What prediction sets and abstention promise, and how they did; None if the model has none."""
    decided = model.decide(predictions)
    if model.decisions is None or decided is None:
        return None
    sets, abstention = model.decisions.sets, model.decisions.abstention
    promised = {"miscoverage": sets.miscoverage, "risk": abstention.risk, "warning": abstention.warning}
    found = decided.measured(images.labels)
    return promised | found | {"set coverage": model.by_class(found["set coverage"])}
