"""What is measured of predictions of whole patients, breasts or studies, beside the mean and the product of their images."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bayescope.calibration.pooling import GroupPooling
from bayescope.data.groups import GROUPS, keys_of, members_of
from bayescope.evaluation.result import Evaluation, Trust, trust_of
from bayescope.inference.combine import combine
from bayescope.inference.groups import GroupPredictions
from bayescope.metrics.bootstrap import Estimate
from bayescope.metrics.classification import measure, measure_classes
from bayescope.types import Floats, Labels

OTHERS = {"mean": 1.0, "product": 0.0}
"""Correlation of the images that is assumed by what is measured for comparison."""


@dataclass(frozen=True)
class GroupEvaluation:
    """Measures of predictions of patients, breasts or studies; values of classes are by name.

    Parameters
    ----------
    parts : tuple of GroupPredictions
        The predictions, of each fold of a cross-validation.
    labels : ndarray of shape (groups,)
        True class of each group.
    measures : mapping of str to Estimate
        Measures of all classes together.
    by_class : mapping of str to mapping
        Measures of each class against the rest.
    trust : mapping of str to mapping
        Calibration of each class's ratios.
    others : mapping of str to mapping
        ``measures`` of the mean and of the product of the images, for comparison.
    """

    parts: tuple[GroupPredictions, ...]
    labels: Labels
    measures: Mapping[str, Estimate]
    by_class: Mapping[str, Mapping[str, Estimate]]
    trust: Mapping[str, Mapping[str, Trust]]
    others: Mapping[str, Mapping[str, Estimate]]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.parts[0].class_names

    @property
    def class_counts(self) -> dict[str, int]:
        """Groups of each class."""
        counts = np.bincount(self.labels, minlength=len(self.class_names)).tolist()
        return dict(zip(self.class_names, counts, strict=True))

    @property
    def sizes(self) -> dict[int, int]:
        """How many groups there are of each number of images."""
        sizes, counts = np.unique([len(found) for part in self.parts for found in part.members], return_counts=True)
        return dict(zip(sizes.tolist(), counts.tolist(), strict=True))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know of the way in which images are added up, each text once."""
        return tuple(dict.fromkeys(part.warning for part in self.parts if part.warning))

    def to_dict(self) -> dict[str, Any]:
        """The evaluation as values for JSON, as ``bayescope evaluate --by --json`` prints it under ``groups``."""
        return {
            "by": self.parts[0].pooling.by,
            "rule": self.parts[0].rule,
            "classes": self.class_counts,
            "sizes": {str(size): count for size, count in self.sizes.items()},
            "pooling": [part.pooling.to_dict() for part in self.parts],
            "warnings": list(self.warnings),
            "measures": _as_dicts(self.measures),
            "by_class": {name: _as_dicts(rows) for name, rows in self.by_class.items()},
            "trust": {name: {what: asdict(row) for what, row in rows.items()} for name, rows in self.trust.items()},
            "others": {name: _as_dicts(rows) for name, rows in self.others.items()},
        }


def evaluate_groups(found: Evaluation, sizes: Sequence[int], by: str, positive: str | None = None) -> GroupEvaluation:
    """Measure predictions of patients, breasts or studies, from those of their images.

    Parameters
    ----------
    found : Evaluation
        The evaluation of the images.
    sizes : sequence of int
        Number of images of each fold.
    by : str
        ``"patient"``, ``"breast"`` or ``"study"``.
    positive : str, optional
        The class that a group belongs to if any of its images does (default: all images of a group show the same class).

    Returns
    -------
    GroupEvaluation
        The measures; intervals keep the groups of a patient together.

    Raises
    ------
    DataError
        If no image names its group, or images of a group differ in class and no ``positive`` is given.
    ConfigError
        If ``by`` or ``positive`` is not possible.

    Examples
    --------
    >>> found, chosen = evaluate_folds([Fold.of(Path("runs/mias-0"))])  # doctest: +SKIP
    >>> evaluate_groups(found, [len(found.images)], "patient", "abnormal").measures["AUC"]  # doctest: +SKIP
    """
    keys_of(found.images, by)
    parts, labels, patients = list[GroupPredictions](), list[Labels](), list[str]()
    others: dict[str, list[Floats]] = {name: [] for name in OTHERS}
    for model, start, end in zip(found.models, np.cumsum([0, *sizes]), np.cumsum(sizes), strict=False):
        positions = np.arange(start, end)
        images, predictions = found.images.subset(positions), found.predictions.subset(positions)
        asked = model, predictions, keys_of(images, by), by, positive
        part = combine(*asked)
        parts.append(part)
        labels.append(part.labels(images.labels, images.class_names))
        patients += _patients(part, images.groups, len(parts))
        for name, correlation in OTHERS.items():
            n_classes = len(part.class_names)
            pooling = GroupPooling(by, positive, correlation, (0.0,) * n_classes, (0,) * n_classes, True)
            others[name].append(combine(*asked, pooling).posterior)
    truth, names = np.concatenate(labels), parts[0].class_names
    log_posterior, ratio = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("log_posterior", "log_likelihood_ratio")
    )
    prior = parts[0].class_prior
    return GroupEvaluation(
        tuple(parts),
        truth,
        measure(np.exp(log_posterior), truth, patients),
        measure_classes(np.exp(log_posterior), truth, names, prior, patients),
        trust_of(log_posterior - np.log(prior), ratio, truth, names, patients),
        {name: measure(np.concatenate(posterior), truth, patients) for name, posterior in others.items()},
    )


def evaluations_of_groups(found: Evaluation) -> list[GroupEvaluation]:
    """Every way to group the images of an evaluation by one model that can be measured.

    Parameters
    ----------
    found : Evaluation
        The evaluation of the images.

    Returns
    -------
    list of GroupEvaluation
        By patient, breast and study, as far as some images have one in common, the same groups once.  Where the images of a
        group differ in class, for the class ``found.positive``, of which one image is enough, or not at all without one.
    """
    labels, measured, evaluations = found.images.labels, list[str](), list[GroupEvaluation]()
    for by, field in GROUPS.items():
        keys = getattr(found.images, field)
        _, members = members_of(keys or [""] * len(labels))
        agree = all(len(set(labels[positions].tolist())) == 1 for positions in members)
        partition = str([positions.tolist() for positions in members])
        positive = None if agree else found.positive
        adds_up = len(found.images.class_names) == 2 or found.models[0].calibration.is_additive
        if len(members) < len(labels) and partition not in measured and (positive or (agree and adds_up)):
            measured.append(partition)
            evaluations.append(evaluate_groups(found, [len(labels)], by, positive))
    return evaluations


def _patients(part: GroupPredictions, patients: Sequence[str] | None, fold: int) -> list[str]:
    """Patient of each group, that of its first image; without patients each group is another's."""
    return [f"{fold} {g}" if patients is None else patients[found[0]] for g, found in enumerate(part.members)]


def _as_dicts(rows: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: asdict(estimate) for name, estimate in rows.items()}
