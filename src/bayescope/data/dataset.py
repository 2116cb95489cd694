"""Labelled images, in memory or memory-mapped."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bayescope.data.filesystem.file_summary import FileSummary
from bayescope.data.formats.resize import Sizing
from bayescope.data.preparation.mammogram import Preparation
from bayescope.errors import DataError
from bayescope.types import Labels, Pixels

_GROUPINGS = ("groups", "breasts", "studies")


@dataclass(frozen=True)
class ImageSet:
    """Labelled images.

    Parameters
    ----------
    pixels : ndarray of shape (n, channel, height, width)
        Pixel values as stored: uint8, uint16 or float32.
    labels : ndarray of shape (n,)
        Index of the class of each image.
    class_names : tuple of str
        Names of the classes.
    names : tuple of str
        Name of each image.
    groups : tuple of str, optional
        Patient of each image; images of one patient are not independent.
    breasts, studies : tuple of str, optional
        Breast and study (examination) of each image, blank where it is not known.
    """

    pixels: Pixels
    labels: Labels
    class_names: tuple[str, ...]
    names: tuple[str, ...]
    groups: tuple[str, ...] | None = None
    breasts: tuple[str, ...] | None = None
    studies: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def n_classes(self) -> int:
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        channels, height, width = self.pixels.shape[1:]
        return channels, height, width

    @classmethod
    def joined(cls, parts: Sequence["ImageSet"]) -> "ImageSet":
        """Images of the same classes and shape, one set after another.

        Parameters
        ----------
        parts : sequence of ImageSet
            The sets.  A single one is returned as it is, and remains memory-mapped.

        Returns
        -------
        ImageSet
            All images; patients, breasts and studies are known only if they are in every set.
        """
        if len(parts) == 1:
            return parts[0]
        known: dict[str, tuple[str, ...] | None] = {}
        for what in _GROUPINGS:
            of_parts = [getattr(part, what) for part in parts]
            known[what] = None if any(one is None for one in of_parts) else tuple(key for one in of_parts for key in one)
        return cls(
            np.concatenate([part.pixels for part in parts]),
            np.concatenate([part.labels for part in parts]),
            parts[0].class_names,
            tuple(name for part in parts for name in part.names),
            **known,
        )

    def subset(self, indices: NDArray[np.integer] | Sequence[int]) -> "ImageSet":
        """Select images.

        Parameters
        ----------
        indices : sequence of int
            Positions of the images; consecutive ones remain memory-mapped.

        Returns
        -------
        ImageSet
            The images at ``indices``, in this order.
        """
        chosen = np.asarray(indices, dtype=np.int64)
        is_stretch = len(chosen) > 0 and (np.diff(chosen) == 1).all()
        pixels = self.pixels[chosen[0] : chosen[-1] + 1] if is_stretch else self.pixels[chosen]
        names = tuple(self.names[i] for i in chosen)
        of_all = {what: getattr(self, what) for what in _GROUPINGS}
        known = {what: None if keys is None else tuple(keys[i] for i in chosen) for what, keys in of_all.items()}
        return ImageSet(pixels, self.labels[chosen], self.class_names, names, **known)

    def fingerprint(self) -> str:
        """SHA-256 of pixels, shape, type and labels."""
        digest = hashlib.sha256(f"{self.pixels.dtype}{self.pixels.shape}".encode())
        digest.update(np.ascontiguousarray(self.pixels).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class Dataset:
    """A labelled image set, divided into training, validation and test images.

    Parameters
    ----------
    train, val, test : ImageSet
        The three splits.
    source : str
        Where the images come from.
    notes : tuple of str
        How they were split and prepared.
    warnings : tuple of str
        What to know before trusting results.
    preparation : Preparation, optional
        How the images were prepared from mammograms; None if they were not.
    sizing : str, default "unchanged"
        How the images were resized when they were read: ``"unchanged"`` or ``"fitted"``.
    files : FileSummary
        The files of the folder that was read; empty for other sources.
    unlabelled : ImageSet, optional
        Images without labels (each -1), for training p(x); none of them is in ``val`` or ``test``.
    """

    train: ImageSet
    val: ImageSet
    test: ImageSet
    source: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    preparation: Preparation | None = None
    sizing: Sizing = "unchanged"
    files: FileSummary = field(default_factory=FileSummary)
    unlabelled: ImageSet | None = None

    @property
    def n_classes(self) -> int:
        return self.train.n_classes

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.train.class_names

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the three splits' fingerprints."""
        parts = (split.fingerprint() for split in (self.train, self.val, self.test))
        return hashlib.sha256("".join(parts).encode()).hexdigest()


def check_labels(train_labels: Labels, class_names: tuple[str, ...], source: str) -> None:
    """Raise DataError unless there are two classes or more, each with a training image."""
    if len(class_names) < 2:
        raise DataError(
            f"{source}: one class only ({', '.join(class_names)}); expected two or more. Add images of another class"
        )
    counts = np.bincount(train_labels, minlength=len(class_names))
    empty = [name for name, count in zip(class_names, counts, strict=True) if count == 0]
    if empty:
        raise DataError(
            f"{source}: no training image of class {', '.join(empty)}; expected at least one of each class. "
            "Add images, or leave the class out of all splits"
        )
