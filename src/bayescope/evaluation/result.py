"""What is measured of a model's predictions to labelled images: discrimination, calibration, prediction sets and abstention."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import softmax

from bayescope.data.dataset import ImageSet
from bayescope.evaluation.selection import ChosenImages
from bayescope.inference.abstention import risk_coverage
from bayescope.inference.decisions import Decision
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
    models : tuple of LikelihoodModel
        The model, or those of all folds of a cross-validation.
    images : ImageSet
        The images, one fold after another.
    predictions : Predictions
        Predictions of the images, each by the model of its fold, at one class prior.
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

    models: tuple[LikelihoodModel, ...]
    images: ImageSet
    predictions: Predictions
    measures: Mapping[str, Estimate]
    by_class: Mapping[str, Mapping[str, Estimate]]
    trust: Mapping[str, Mapping[str, Trust]]
    decisions: dict[str, Any] | None
    positive: str | None = None

    @property
    def model(self) -> LikelihoodModel:
        """The model, or that of the first fold."""
        return self.models[0]

    @property
    def calibrated(self) -> bool:
        """Whether the likelihood ratios are calibrated, in every fold."""
        return all(model.calibration.calibrated for model in self.models)

    @property
    def calibration_images(self) -> dict[str, int]:
        """Validation images of each class that the calibration uses, in all folds together."""
        return self.model.by_class(np.sum([model.calibration.images for model in self.models], axis=0))

    @property
    def calibration_warnings(self) -> tuple[str, ...]:
        """What to know of the calibration, each text once."""
        return tuple(dict.fromkeys(model.calibration.warning for model in self.models if model.calibration.warning))

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

    def to_dict(self, *chosen: ChosenImages) -> dict[str, Any]:
        """The evaluation as values for JSON.

        Parameters
        ----------
        *chosen : ChosenImages
            How the images were selected, in every fold.

        Returns
        -------
        dict
            What ``bayescope evaluate --json`` prints.
        """
        groups = self.images.groups
        record = _selection(chosen) if chosen else {}
        return record | {
            "folds": len(self.models),
            "images": len(self.images),
            "classes": list(self.model.class_names),
            "positive": self.positive,
            "prevalence": self.prevalence,
            "passes": self.predictions.mean_passes,
            "patients": None if groups is None else len(set(groups)),
            "calibrated": self.calibrated,
            "calibration_images": self.calibration_images,
            "decisions": self.decisions,
            "files": chosen[0].data.files.to_dict() if len(chosen) == 1 else None,
            "warnings": [*dict.fromkeys(text for one in chosen for text in one.warnings), *self.calibration_warnings],
            "measures": {name: asdict(estimate) for name, estimate in self.measures.items()},
            "by_class": {
                name: {"images": self.class_counts[name], **{what: asdict(estimate) for what, estimate in rows.items()}}
                for name, rows in self.by_class.items()
            },
            "confusion": self.confusion,
            "trust": {name: {what: asdict(row) for what, row in rows.items()} for name, rows in self.trust.items()},
        }


def _selection(chosen: Sequence[ChosenImages]) -> dict[str, Any]:
    left_out: Counter[str] = Counter()
    for one in chosen:
        left_out.update(one.left_out)
    name = ", ".join(dict.fromkeys(one.name for one in chosen))
    return {"split": name, "seen": any(one.seen for one in chosen), "left_out": dict(left_out)}


@dataclass(frozen=True)
class Scored:
    """``images`` of one fold, and the ``predictions`` of its ``model``."""

    model: LikelihoodModel
    images: ImageSet
    predictions: Predictions


def measured(folds: Sequence[Scored], positive: str | None = None) -> Evaluation:
    """Measure the predictions of all ``folds`` together; they are at one class prior."""
    images = ImageSet.joined([fold.images for fold in folds])
    predictions = Predictions.joined([fold.predictions for fold in folds])
    posterior, labels, class_names = predictions.posterior, images.labels, images.class_names
    return Evaluation(
        tuple(fold.model for fold in folds),
        images,
        predictions,
        measure(posterior, labels, images.groups) | {"AURC": _aurc(predictions, images)},
        measure_classes(posterior, labels, class_names, predictions.class_prior, images.groups),
        _trust(predictions, images),
        _decisions(folds, images),
        positive,
    )


def _aurc(predictions: Predictions, images: ImageSet) -> Estimate:
    """Mean share of errors over all shares of images answered, the surest first."""
    posterior, labels = predictions.posterior, images.labels

    def area(chosen: Labels) -> Floats:
        return np.array([risk_coverage(posterior[chosen], labels[chosen]).area])

    return bootstrap(by_image(area), len(labels), images.groups, kind="basic")[0]


def class_frequencies_of(images: ImageSet) -> Floats:
    """Share of each class among ``images``, an absent class counted once: ``(classes,)``."""
    return _frequencies(images.labels, images.n_classes)


def _frequencies(labels: Labels, n_classes: int) -> Floats:
    counts = np.maximum(np.bincount(labels, minlength=n_classes), 1)
    return np.asarray(counts / counts.sum())


def _trust(predictions: Predictions, images: ImageSet) -> dict[str, dict[str, Trust]]:
    log_likelihood = predictions.log_posterior - np.log(predictions.class_prior)
    return trust_of(log_likelihood, predictions.log_likelihood_ratio, images.labels, images.class_names, images.groups)


def trust_of(
    log_likelihood: Floats,
    log_ratio: Floats,
    labels: Labels,
    class_names: Sequence[str],
    patients: Sequence[Hashable] | None,
) -> dict[str, dict[str, Trust]]:
    """Whether ratios and probabilities mean what they say: for each class against the rest, each measure.

    ``log_likelihood`` and ``log_ratio``, nats, ``(n, classes)``.  Probabilities are those at the class frequencies of these
    very images, or groups of images, so that a wrong prevalence does not count against the ratios.
    """
    posterior = softmax(log_likelihood + np.log(_frequencies(labels, len(class_names))), axis=1)
    found = assess(log_ratio, posterior, labels, patients)
    return {name: _beside_expected(found[k], posterior[:, k]) for k, name in enumerate(class_names)}


def _beside_expected(found: dict[str, Estimate], probability: Floats) -> dict[str, Trust]:
    expected = expected_if_calibrated(probability.clip(_TINY, 1 - _TINY))
    return {what: Trust(value, expected[what]) for what, value in found.items()}


def _decisions(folds: Sequence[Scored], images: ImageSet) -> dict[str, Any] | None:
    """Guaranteed and measured rates of prediction sets and abstention; None unless every model has the same guarantees."""
    decided = [fold.model.decide(fold.predictions) for fold in folds]
    promised = [_promised(fold.model) for fold in folds]
    if None in decided or any(other != promised[0] for other in promised):
        return None
    found = Decision.joined([one for one in decided if one is not None]).measured(images.labels)
    by_class = dict(zip(images.class_names, found["set coverage"], strict=True))
    return (promised[0] or {}) | found | {"set coverage": by_class}


def _promised(model: LikelihoodModel) -> dict[str, Any] | None:
    if model.decisions is None:
        return None
    sets, abstention = model.decisions.sets, model.decisions.abstention
    return {"miscoverage": sets.miscoverage, "risk": abstention.risk, "warning": abstention.warning}
