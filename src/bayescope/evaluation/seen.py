"""Which images, and whose, a run was trained or validated on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bayescope.data.copies import pixel_hashes
from bayescope.data.labelled import SPLITS, LabelledImages
from bayescope.runs.training_record import TrainingRecord

SEEN = ("train", "val")
_REASONS = {
    ("image", "train"): "images the run was trained on",
    ("image", "val"): "images the run was validated on",
    ("patient", "train"): "images of patients the run was trained on",
    ("patient", "val"): "images of patients the run was validated on",
}


@dataclass(frozen=True)
class SeenImages:
    """What a run knows of each image and its patient: the split it was in, or blank.

    ``is_source``: whether the data contain half or more of the images that the run was trained and validated on.
    """

    of_image: NDArray[np.str_]
    of_patient: NDArray[np.str_]
    is_source: bool

    @classmethod
    def of(cls, data: LabelledImages, record: TrainingRecord | None) -> Self:
        """What the ``record`` of a run says of images; blank without one."""
        nothing = np.full(len(data.images), "", dtype="U5")
        if record is None:
            return cls(nothing, nothing, False)
        hashes = pixel_hashes(data.images.pixels)
        of_image = np.array([record.images.get(found, "") for found in hashes], dtype="U5")
        n_seen = sum(split in SEEN for split in record.images.values())
        n_found = len({found for found, split in zip(hashes, of_image, strict=True) if split in SEEN})
        of_patient = nothing if data.images.groups is None else _of_patients(data.images.groups, of_image, record)
        return cls(of_image, of_patient, 0 < n_seen <= 2 * n_found)

    @property
    def any_image(self) -> bool:
        """Whether the run was given any of the images."""
        return bool((self.of_image != "").any())

    @property
    def is_seen(self) -> NDArray[np.bool_]:
        """Whether the run was trained or validated on each image or its patient."""
        return np.isin(self.of_image, SEEN) | np.isin(self.of_patient, SEEN)

    def reasons(self, among: NDArray[np.bool_]) -> dict[str, int]:
        """Number of seen images, by reason to leave them out."""
        counts = {}
        not_seen_itself = ~np.isin(self.of_image, SEEN)
        for split in SEEN:
            counts[_REASONS["image", split]] = int((among & (self.of_image == split)).sum())
            counts[_REASONS["patient", split]] = int((among & not_seen_itself & (self.of_patient == split)).sum())
        return {reason: n for reason, n in counts.items() if n}


def _of_patients(patients: Sequence[str], of_image: NDArray[np.str_], record: TrainingRecord) -> NDArray[np.str_]:
    """The split of each image's patient, by name and by the patient's other images: the first of train, val, test."""
    splits: dict[str, set[str]] = {}
    for patient, *found in zip(patients, of_image.tolist(), record.splits_of_patients(patients).tolist(), strict=True):
        splits.setdefault(patient, set()).update(found)
    first = {patient: next((name for name in SPLITS if name in found), "") for patient, found in splits.items()}
    return np.array([first[patient] for patient in patients], dtype="U5")
