"""Learns on held-out images how far the images of a patient, breast or study depend on each other."""

import numpy as np

from bayescope.calibration.base import no_error
from bayescope.calibration.pooling import GroupPooling
from bayescope.data.dataset import ImageSet
from bayescope.data.groups import GROUPS, labels_of_groups, members_of
from bayescope.evidence.level_weights import log_likelihood_ratio
from bayescope.types import Floats, Labels

_TINY = np.finfo(float).tiny


def fit_poolings(posterior: Floats, class_prior: Floats, held_out: ImageSet) -> tuple[GroupPooling, ...]:
    """Fit how evidence is added up, for every way to group the ``held_out`` images and every rule for the class of a group.

    Parameters
    ----------
    posterior : ndarray of shape (n, classes)
        Calibrated posterior of the images, at ``class_prior``, by weights and a calibration fitted on other patients.
    class_prior : ndarray of shape (classes,)
        Probability of each class.
    held_out : ImageSet
        The images.

    Returns
    -------
    tuple of GroupPooling
        By patient, breast and study, as far as two images have one in common: for groups whose images all show one class, the
        others being left out, and for each class of which one image is enough.
    """
    evidence = np.log(np.maximum(posterior, _TINY)) - np.log(class_prior)
    ratios, _ = log_likelihood_ratio(evidence, class_prior, no_error)
    found: list[GroupPooling] = []
    for by, field in GROUPS.items():
        _, members = members_of(getattr(held_out, field) or [""] * len(held_out))
        if len(members) < len(held_out):
            found.append(_of_one_class(evidence, members, held_out.labels, by))
            found += [
                GroupPooling.fit(
                    np.stack([np.zeros(len(ratios)), ratios[:, k]], axis=1),
                    members,
                    labels_of_groups(held_out.labels, members, held_out.class_names, by, name),
                    by,
                    name,
                )
                for k, name in enumerate(held_out.class_names)
            ]
    return tuple(found)


def _of_one_class(evidence: Floats, members: tuple[Labels, ...], labels: Labels, by: str) -> GroupPooling:
    same = [positions for positions in members if len(set(labels[positions].tolist())) == 1]
    return GroupPooling.fit(evidence, same, np.array([labels[positions[0]] for positions in same], dtype=np.int64), by)
