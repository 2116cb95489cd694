"""Images with identical pixels and images of one patient, which must not be in more than one split.

An image is known by the SHA-256 of its pixels, whatever its name or file format.  One pass over the pixels finds all copies.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from bayescope.data.dataset import Dataset, ImageSet
from bayescope.data.labelled import SPLITS
from bayescope.types import Labels, Pixels


def pixel_hashes(pixels: Pixels) -> list[str]:
    """SHA-256 of the shape and values of each image ``(n, channel, height, width)``; of equal integers, the same in any
    type."""
    shape = str(pixels.shape[1:]).encode()
    stored = "<u2" if pixels.dtype.kind in "bu" and pixels.dtype.itemsize <= 2 else "<f4"
    return [hashlib.sha256(shape + np.ascontiguousarray(image, dtype=stored).tobytes()).hexdigest() for image in pixels]


def copy_groups(hashes: Sequence[str], patients: Sequence[str] | None) -> tuple[Labels, int]:
    """A number for each image, ``(n,)``, the same for all of a patient and for copies of an image; and how many copies there
    are.

    Patients who share an image are one group.
    """
    n = len(hashes)
    numbers = np.unique(np.asarray(hashes, dtype=object), return_inverse=True)[1]
    n_different = len(set(hashes))
    owners = np.arange(n) if patients is None else np.unique(np.asarray(patients, dtype=object), return_inverse=True)[1]
    n_owners = int(owners.max(initial=-1)) + 1
    links = coo_matrix((np.ones(n), (owners, n_owners + numbers)), shape=(n_owners + n_different,) * 2)
    return connected_components(links, directed=False)[1][owners].astype(np.int64), n - n_different


def overlaps(data: Dataset) -> list[str]:
    """Warnings about images and patients in more than one split, and about copies with different labels."""
    parts: list[tuple[str, ImageSet]] = [(name, getattr(data, name)) for name in SPLITS]
    hashes = {name: pixel_hashes(images.pixels) for name, images in parts}
    warnings = list(
        _pairs({name: set(found) for name, found in hashes.items()}, hashes, "have pixels identical to an image in")
    )
    if all(images.groups is not None for _, images in parts):
        owners = {name: list(images.groups or ()) for name, images in parts}
        warnings += _pairs({name: set(found) for name, found in owners.items()}, owners, "are of patients who are also in")
    labels: defaultdict[str, set[int]] = defaultdict(set)
    for name, images in parts:
        for found, label in zip(hashes[name], images.labels.tolist(), strict=True):
            labels[found].add(label)
    if torn := sum(len(found) > 1 for found in labels.values()):
        warnings.append(f"images with several labels: {torn}")
    return warnings


def unseen_test(data: Dataset) -> Dataset:
    """``data`` without test images that are in training or validation too, themselves or by their patient; a warning says
    so."""
    seen = {found for images in (data.train, data.val) for found in pixel_hashes(images.pixels)}
    patients = {patient for images in (data.train, data.val) for patient in images.groups or ()}
    is_seen = np.array([found in seen for found in pixel_hashes(data.test.pixels)], dtype=bool)
    is_known = np.array([patient in patients for patient in data.test.groups or ()] or [False] * len(data.test), dtype=bool)
    left = np.flatnonzero(~(is_seen | is_known))
    if len(left) == len(data.test):
        return data
    text = (
        f"left out: {int(is_seen.sum())} test images identical to one in training or validation, and "
        f"{int((is_known & ~is_seen).sum())} "
        "more of patients there"
    )
    return replace(data, test=data.test.subset(left), warnings=(*data.warnings, text))


def _pairs(known: dict[str, set[str]], of_image: dict[str, list[str]], what: str) -> Iterator[str]:
    for i, first in enumerate(SPLITS):
        for second in SPLITS[i + 1 :]:
            shared = known[first] & known[second]
            if shared:
                n = sum(name in shared for name in of_image[second])
                yield f"{n} of {len(of_image[second])} {second} images {what} {first}"
