"""Comparison by patient, breast or study: the predictions of every method for the images of each, added up.

Bayescope adds up by the correlation it learned on validation images, networks by the mean of the logarithms of their
probabilities, as is usual for several views.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.special import softmax

from bayescope.calibration.base import no_error
from bayescope.calibration.pooling import GroupPooling
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.data.groups import keys_of, labels_of_groups, members_of
from bayescope.evaluation.compare.run import Result
from bayescope.evidence.level_weights import log_likelihood_ratio
from bayescope.types import Floats, Labels

_TINY = np.finfo(float).tiny
PLURALS = {"patient": "patients", "breast": "breasts", "study": "studies"}


def grouped_data(data: Dataset, by: str, positive: str | None = None) -> Dataset:
    """The data with one test image for each patient, breast or study, to summarise predictions of these.

    Parameters
    ----------
    data : Dataset
        The images.
    by : str
        ``"patient"``, ``"breast"`` or ``"study"``.
    positive : str, optional
        The class that a group belongs to if any of its images does (default: all images of a group show the same class).

    Returns
    -------
    Dataset
        Its test images are the first of each group, with the label of the group.

    Raises
    ------
    DataError
        If no test image names its group, or images of a group differ in class and no ``positive`` is given.
    """
    test = data.test
    names, members = members_of(keys_of(test, by))
    first = test.subset([positions[0] for positions in members])
    labels = labels_of_groups(test.labels, members, test.class_names, by, positive)
    rule = "all images of one class" if positive is None else f"{positive} if any image is"
    class_names = test.class_names if positive is None else (f"no {positive}", positive)
    grouped = replace(first, labels=labels, class_names=class_names, names=tuple(map(str, names)))
    notes = (*data.notes, f"{len(test)} test images by {by}: {rule}")
    train = data.train if positive is None else replace(data.train, class_names=class_names)
    return replace(data, train=train, test=grouped, notes=notes)


def grouped_results(results: Sequence[Result], test: ImageSet, by: str, positive: str | None = None) -> list[Result]:
    """Results whose predictions are those of the patients, breasts or studies of :func:`grouped_data`.

    Parameters
    ----------
    results : sequence of Result
        Predictions of the ``test`` images.
    test : ImageSet
        The images.
    by, positive
        As of :func:`grouped_data`.

    Returns
    -------
    list of Result
        The time of inference is that of as many images as there are groups.
    """
    _, members = members_of(keys_of(test, by))
    share = len(members) / len(test)
    return [
        replace(
            result,
            posterior=_posterior(result, test.class_names, members, by, positive).tolist(),
            inference_seconds=share * result.inference_seconds,
        )
        for result in results
    ]


def _posterior(
    result: Result, class_names: tuple[str, ...], members: Sequence[Labels], by: str, positive: str | None
) -> Floats:
    evidence = np.log(np.maximum(np.array(result.posterior), _TINY))
    if positive is not None:
        ratios, _ = log_likelihood_ratio(evidence, np.full(len(class_names), 1 / len(class_names)), no_error)
        ratio = ratios[:, class_names.index(positive)]
        evidence = np.stack([np.zeros_like(ratio), ratio], axis=1)
    learned = map(GroupPooling.from_dict, result.poolings)
    mean = GroupPooling.mean(by, positive, (0,) * evidence.shape[1])
    pooling = next((one for one in learned if (one.by, one.positive) == (by, positive)), mean)
    return np.asarray(softmax([pooling.shares(evidence[positions]).sum(axis=0) for positions in members], axis=1))
