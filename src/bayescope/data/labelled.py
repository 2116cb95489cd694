"""Labelled images before they are split, with the split given by their source, if any."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bayescope.data.dataset import Dataset, ImageSet, check_labels
from bayescope.data.filesystem.file_summary import FileSummary
from bayescope.data.formats.resize import Sizing
from bayescope.data.preparation.mammogram import Preparation

SPLITS = ("train", "val", "test")
_SPLIT_WORDS = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}


@dataclass(frozen=True)
class LabelledImages:
    """All ``images`` of ``source``; ``split (n,)``: train, val or test as the source gives it, None if it gives none.

    ``notes``, ``warnings``, ``preparation``, ``files`` and ``sizing`` as of :class:`bayescope.data.dataset.Dataset`.
    """

    images: ImageSet
    split: NDArray[np.str_] | None
    source: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    preparation: Preparation | None = None
    files: FileSummary = field(default_factory=FileSummary)
    sizing: Sizing = "unchanged"

    def dataset(self, split: NDArray[np.str_], *notes: str) -> Dataset:
        """Divided by ``split (n,)``.  Raises DataError if a class has no training image."""
        train, val, test = (self.images.subset(np.flatnonzero(split == name)) for name in SPLITS)
        check_labels(train.labels, train.class_names, self.source)
        return Dataset(
            train,
            val,
            test,
            source=self.source,
            notes=(*notes, *self.notes),
            warnings=self.warnings,
            preparation=self.preparation,
            files=self.files,
            sizing=self.sizing,
        )


def whole(data: Dataset) -> LabelledImages:
    """The three splits of a data set as one."""
    parts = [(name, getattr(data, name)) for name in SPLITS]
    images = ImageSet.joined([part for _, part in parts])
    split = np.repeat([name for name, _ in parts], [len(part) for _, part in parts])
    return LabelledImages(images, split, data.source, data.notes, data.warnings, data.preparation, data.files, data.sizing)


def split_of(name: str) -> str:
    """``train``, ``val`` or ``test`` for a usual word for it; any other word in lower case."""
    return _SPLIT_WORDS.get(name.lower(), name.lower())
