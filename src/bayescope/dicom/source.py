"""The instance that an object is about: what is taken over from it, and how it is referred to.

highdicom takes over patient and study from a data set that it knows the SOP Class of, and whose attributes of type 2 are all
there.  It gets a stand-in, a Secondary Capture of one frame without geometry; references in what it makes then lead to the
instance and frame themselves.
"""

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage
from pydicom.valuerep import DA, TM

from bayescope.data.formats.dicom import read_whole_header
from bayescope.errors import DataError

_UIDS = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_UID = re.compile(r"[0-9.]{1,64}")
"""Leading zeros within, against the standard and not rare, are let pass: a reference has to repeat them."""
_DIRECTION = re.compile(r"[LRAPHF]{1,3}")
_NAMES = ("PatientName", "ReferringPhysicianName")
_MAY_BE_EMPTY = (
    *_NAMES,
    *("PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"),
)
_GEOMETRY = (
    *("NumberOfFrames", "FrameOfReferenceUID", "PixelSpacing"),
    *("ImagePositionPatient", "ImageOrientationPatient"),
)
_DEIDENTIFICATION = ("DeidentificationMethod", "DeidentificationMethodCodeSequence")
"""One of these is needed where the identity was removed (PS3.3 section C.7.1.1)."""
_SEXES = ("M", "F", "O")
_SIDES = ("L", "R", "B")
_LAST_GROUP = 0x0060
"""Behind it come functional groups, overlays, waveforms and pixels."""
_UTF_8 = "ISO_IR 192"
_DATES = ("ContentDate", "AcquisitionDate", "SeriesDate", "StudyDate")
_NO_DATE, _NO_TIME = "19000101", "000000"
Made = TypeVar("Made", bound=Dataset)


@dataclass(frozen=True)
class Source:
    """An image instance, to make objects of.

    ``header``: its elements in UTF-8, without pixels; ``stand_in``: the same for highdicom; ``frame``: from 1, None where
    the instance has one frame only.
    """

    header: Dataset
    stand_in: Dataset
    frame: int | None

    @property
    def uid(self) -> str:
        """SOP Instance UID."""
        return str(self.header.SOPInstanceUID)

    @property
    def key(self) -> tuple[str, int | None]:
        """What identifies the picture that was read."""
        return self.uid, self.frame

    @property
    def instance_number(self) -> int:
        """Instance Number of what is made of it."""
        return self.frame or max(1, int(self.header.get("InstanceNumber") or 1))

    @property
    def laterality(self) -> str | None:
        """``"L"``, ``"R"``, ``"B"`` or None."""
        found = (self.header.get(keyword) for keyword in ("ImageLaterality", "Laterality"))
        return next((side for side in found if side in _SIDES), None)

    @property
    def patient_orientation(self) -> list[str] | str:
        """Directions of rows and columns; blank where they are not given."""
        found = list(self.header.get("PatientOrientation") or ())
        return found if len(found) == 2 and all(map(_DIRECTION.fullmatch, found)) else ""

    @property
    def pixel_spacing(self) -> tuple[float, float] | None:
        """Distance of rows and of columns, in mm."""
        rows, columns = (float(value) for value in self.header.get("PixelSpacing") or (0, 0))
        return (rows, columns) if min(rows, columns) > 0 else None

    @property
    def content_moment(self) -> tuple[str, str]:
        """Content Date and Time: the source's, so that whatever is made of it has the same bytes whenever it is made."""
        for keyword in _DATES:
            if date := _valid(DA, self.header.get(keyword)):
                return date, _valid(TM, self.header.get(keyword.replace("Date", "Time"))) or _NO_TIME
        return _NO_DATE, _NO_TIME

    def finish(self, made: Made) -> Made:
        """``made`` by highdicom of the stand-in, with names and references of the instance itself, and no time of creation."""
        for keyword in _NAMES:
            setattr(made, keyword, self.header[keyword].value)
        for keyword in ("InstanceCreationDate", "InstanceCreationTime", "DateOfSecondaryCapture", "TimeOfSecondaryCapture"):
            made.pop(keyword, None)
        made.ContributingEquipmentSequence[-1].pop("ContributionDateTime", None)  # of highdicom
        for part in _parts(made):
            if part.get("ReferencedSOPInstanceUID") == self.uid:
                part.ReferencedSOPClassUID = self.header.SOPClassUID
        return made


def read_source(path: Path) -> Dataset:
    """Header of a DICOM file.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    Dataset
        Its elements up to the pixels.

    Raises
    ------
    DataError
        If it is no DICOM file, or a damaged one.
    """
    return read_whole_header(path)


def source_of(dataset: Dataset, frame: int | None = None) -> Source:
    """What objects take from an instance, on a copy.

    Raises DataError if it lacks a UID, or if ``frame``, from 1, is missing where there are several, or is none of them.
    """
    if missing := [keyword for keyword in _UIDS if not _UID.fullmatch(str(dataset.get(keyword, "")))]:
        raise DataError(
            f"the source has no valid {', '.join(missing)}; expected an instance with all of {', '.join(_UIDS)}, to which an "
            "object can refer. Export it from the archive again"
        )
    n_frames = int(dataset.get("NumberOfFrames") or 1)
    if (frame is None and n_frames > 1) or (frame is not None and not 1 <= frame <= n_frames):
        raise DataError(
            f"{'no frame' if frame is None else f'frame {frame}'} of {n_frames}; expected a number from 1 to {n_frames}. "
            "Name the frame that was read"
        )
    header = _decoded(dataset)
    for keyword in _MAY_BE_EMPTY:
        if header.get(keyword) is None:
            setattr(header, keyword, "")
    if header.PatientSex not in _SEXES:
        header.PatientSex = ""
    header.PatientBirthDate, header.StudyDate = (_valid(DA, header[key].value) for key in ("PatientBirthDate", "StudyDate"))
    header.StudyTime = _valid(TM, header.StudyTime)
    if header.get("PatientIdentityRemoved") == "YES" and not any(header.get(keyword) for keyword in _DEIDENTIFICATION):
        header.DeidentificationMethod = "not stated"
    return Source(header, _stand_in(header), frame if n_frames > 1 else None)


def _stand_in(header: Dataset) -> Dataset:
    """For highdicom: names, some of which it warns of, are blank."""
    found = deepcopy(header)
    found.SOPClassUID = SecondaryCaptureImageStorage
    for keyword in _NAMES:
        setattr(found, keyword, "")
    for keyword in _GEOMETRY:
        found.pop(keyword, None)
    return found


def _decoded(dataset: Dataset) -> Dataset:
    """A copy of the elements before the pixels, text in UTF-8."""
    header = Dataset()
    for element in dataset:
        if element.tag.group <= _LAST_GROUP and not element.tag.is_private:
            header[element.tag] = deepcopy(element)
    header.decode()
    header.SpecificCharacterSet = _UTF_8
    return header


def _valid(kind: Any, value: Any) -> str:
    """A date or time as DICOM writes it; blank for none, or one that is not of the form."""
    try:
        return str(kind(str(value))) if value else ""
    except ValueError:
        return ""


def _parts(dataset: Dataset) -> Iterator[Dataset]:
    """The data set and all items of its sequences, however deep."""
    yield dataset
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _parts(item)
