"""A record of the images a run was trained and validated on, so that none of them counts as unseen.

A run keeps a hash of the decoded pixels of every image it was given, whatever the file was named, the split it fell in, and its
patient as a hash salted for this run alone: the split stays as it was drawn when images are added, and no patient can be read
from it.  Cost: one pass over the pixels, 64 bytes an image.
"""

import hashlib
import io
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescope.data.copies import pixel_hashes
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.data.labelled import SPLITS
from bayescope.errors import RunError
from bayescope.types import Pixels

_SALT_BYTES = 16
_NUMBERED = re.compile(r"(patient|file) \d+")


@dataclass(frozen=True)
class TrainingRecord:
    """``images``: split by hash of the pixels; ``patients``: split by salted hash.  In several splits: the first of the
    three."""

    salt: str
    images: Mapping[str, str]
    patients: Mapping[str, str]

    @classmethod
    def of(cls, data: Dataset) -> Self:
        """Of the images of a data set, as it is trained on; images without labels count as training images."""
        salt = secrets.token_hex(_SALT_BYTES)
        images: dict[str, str] = {}
        patients: dict[str, str] = {}
        for name in SPLITS:
            part = getattr(data, name)
            for found in pixel_hashes(part.pixels):
                images.setdefault(found, name)
            for patient in part.groups or ():
                patients.setdefault(_salted(salt, patient), name)
        if data.unlabelled is not None:
            for found in pixel_hashes(data.unlabelled.pixels):
                images.setdefault(found, "train")
        return cls(salt, images, patients)

    def with_validation(self, images: ImageSet) -> Self:
        """The record with further ``images``, and their patients, as validation images."""
        found = dict.fromkeys(pixel_hashes(images.pixels), "val")
        patients = {_salted(self.salt, patient): "val" for patient in images.groups or ()}
        return replace(self, images={**found, **self.images}, patients={**patients, **self.patients})

    def splits_of(self, pixels: Pixels) -> NDArray[np.str_]:
        """Split of each image ``(n, channel, height, width)`` in the run, blank for one it was not given: ``(n,)``."""
        return np.array([self.images.get(found, "") for found in pixel_hashes(pixels)], dtype="U5")

    def splits_of_patients(self, patients: Iterable[str]) -> NDArray[np.str_]:
        """Split of each image's patient by name, blank for one the run does not know: ``(n,)``.

        Blank also for patients that were merely numbered, since DICOM headers or files distinguish them: the numbers are
        others' in other data, and after images were added.  Those are known by their images.
        """
        return np.array(
            [
                "" if _NUMBERED.fullmatch(patient) else self.patients.get(_salted(self.salt, patient), "")
                for patient in patients
            ],
            dtype="U5",
        )

    def to_bytes(self) -> bytes:
        """A Parquet table ``kind, hash, split``, the salt being its first row."""
        rows = [("salt", self.salt, "")]
        rows += [("image", found, split) for found, split in self.images.items()]
        rows += [("patient", found, split) for found, split in self.patients.items()]
        buffer = io.BytesIO()
        pd.DataFrame(rows, columns=["kind", "hash", "split"]).to_parquet(buffer, index=False)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """The inverse of :meth:`to_bytes`.  Raises RunError if ``content`` is something else."""
        try:
            table = pd.read_parquet(io.BytesIO(content))
            (salt,) = table.loc[table["kind"] == "salt", "hash"]
            by_kind = [table[table["kind"] == kind] for kind in ("image", "patient")]
            images, patients = (dict(zip(rows["hash"], rows["split"], strict=True)) for rows in by_kind)
        except Exception as error:  # pyarrow raises its own kinds on a damaged file
            raise RunError(
                f"the record of the images a run was trained on cannot be read ({error}); expected a file of `bayescope "
                "train`. "
                "Train again"
            ) from None
        return cls(str(salt), images, patients)


def _salted(salt: str, patient: str) -> str:
    return hashlib.sha256(f"{salt}/{patient}".encode("utf-8", "surrogateescape")).hexdigest()
