"""Detection of DICOM files by content, and reading of their header, with or without File Meta Information.

A DICOM file of PS3.10 carries ``DICM`` after 128 bytes.  Files exported without that preamble, or with the data set alone,
begin with a data element of group 0002 or 0008 (PS3.5 section 7.1): then the first elements have to follow one another, with
known tags in ascending order, which no picture, text or archive does.
"""

from pathlib import Path
from typing import BinaryIO

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import FileDataset
from pydicom.filereader import dcmread, read_dataset, read_preamble
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, STANDARD_VR

from bayescope.data.formats.packed import check_not_packed
from bayescope.errors import DataError

SUFFIXES = (".dcm", ".dicom")
_MARK, _MARK_AT = b"DICM", 128
_UID_ROOT = b"1.2.840.10008."
_READ_AT_MOST = 1024
_FEWEST_ELEMENTS = 3
_GROUPS = (0x0002, 0x0008)


def is_dicom(path: Path) -> bool:
    """Whether the content is DICOM, whatever the name, or the name is a DICOM file's: what is damaged is then refused by name.

    At most 1024 bytes are read.
    """
    return path.suffix.lower() in SUFFIXES or has_dicom_content(path)


def has_dicom_content(path: Path) -> bool:
    """Whether the content is DICOM, whatever the name: at most 1024 bytes are read.  False for what cannot be read."""
    return _first_bytes(path).is_dicom


class _Start:
    """The first bytes of a file, and what they show."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.has_mark = content[_MARK_AT : _MARK_AT + len(_MARK)] == _MARK

    @property
    def is_dicom(self) -> bool:
        return self.has_mark or begins_with_elements(self.content)


def _first_bytes(path: Path) -> _Start:
    try:
        with path.open("rb") as file:
            return _Start(file.read(_READ_AT_MOST))
    except OSError:
        return _Start(b"")


def begins_with_elements(content: bytes) -> bool:
    """Whether these first bytes are data elements of a data set without preamble, of any native transfer syntax."""
    return any(
        _n_elements(content, order, explicit) >= _FEWEST_ELEMENTS
        for order, explicit in (("little", True), ("little", False), ("big", True))
    )


def _n_elements(content: bytes, order: str, explicit: bool) -> int:
    """How many elements of known tags, in ascending order, ``content`` begins with; 0 if what follows breaks the order."""
    at, last, n_elements = 0, -1, 0
    while at + 12 <= len(content):
        tag = _number(content, at, 2, order) << 16 | _number(content, at + 2, 2, order)
        if tag <= last or (n_elements == 0 and tag >> 16 not in _GROUPS):
            return 0
        size = _element_size(content, at, tag, order, explicit)
        if size is None:
            return 0
        if content[at : at + size].find(_UID_ROOT, 8, 12 + len(_UID_ROOT)) > 0:
            return _FEWEST_ELEMENTS  # a UID of DICOM: SOP class or transfer syntax
        at, last, n_elements = at + size, tag, n_elements + 1
        if tag >> 16 == 0x0002 and at + 2 <= len(content) and _number(content, at, 2, order) != 0x0002:
            return n_elements  # the data set after File Meta Information may be encoded otherwise, or deflated
    return n_elements


def _element_size(content: bytes, at: int, tag: int, order: str, explicit: bool) -> int | None:
    """Bytes of the element at ``at``, header and value; None if it cannot be one."""
    is_private, is_group_length = bool(tag >> 16 & 1), tag & 0xFFFF == 0
    if not (is_private or is_group_length or dictionary_has_tag(tag)):
        return None
    if not explicit:
        return 8 + _number(content, at + 4, 4, order)
    vr = content[at + 4 : at + 6].decode("latin-1")
    known = "UL" if is_group_length else "" if is_private else str(dictionary_VR(tag))
    if vr not in _VRS or (known and vr not in known and vr != "UN"):
        return None
    return 12 + _number(content, at + 8, 4, order) if vr in _LONG_VRS else 8 + _number(content, at + 6, 2, order)


_VRS = {str(vr) for vr in STANDARD_VR}
_LONG_VRS = {str(vr) for vr in EXPLICIT_VR_LENGTH_32}


def _number(content: bytes, at: int, n_bytes: int, order: str) -> int:
    return int.from_bytes(content[at : at + n_bytes], "big" if order == "big" else "little")


def check_is_dicom(path: Path) -> None:
    """Raise DataError, with what to do about it, unless the content of the file is DICOM."""
    if not path.is_file():
        raise DataError(f"{path.name}: no such file; expected a DICOM image. Check the path")
    start = _first_bytes(path)
    if start.is_dicom:
        return
    check_not_packed(path.name, start.content, "DICOM")
    raise DataError(
        f"{path.name}: no DICM mark after 128 bytes, nor a DICOM data set without it; expected a DICOM file. Leave it out"
    )


def read_data_set(path: Path, keywords: list[str] | None = None, *, stop_before_pixels: bool = False) -> FileDataset:
    """The data set, of a file without preamble or File Meta Information too; ``keywords`` limits it to these elements.

    The transfer syntax that such a file does not declare is the native one its elements are encoded in.
    """
    header = dcmread(path, force=True, stop_before_pixels=stop_before_pixels, specific_tags=keywords)
    if header.file_meta.get("TransferSyntaxUID") is None:
        implicit, little_endian = header.original_encoding
        explicit = ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian
        header.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return header


def deflated_at(file: BinaryIO) -> int | None:
    """Where the deflated data set of an open file begins, in bytes; None if it is not deflated."""
    read_preamble(file, True)
    start = file.tell()
    for implicit in (False, True):  # some write File Meta Information so, against PS3.10 section 7.1
        file.seek(start)
        try:
            meta = read_dataset(file, implicit, True, stop_when=lambda tag, vr, length: tag >> 16 != _GROUPS[0])
            syntax = meta.get("TransferSyntaxUID")
        except NotImplementedError:
            continue
        return file.tell() if syntax == DeflatedExplicitVRLittleEndian else None
    return None
