"""Whether a file is DICOM, told by its first bytes and never by its name alone."""

from pathlib import Path
from typing import Literal

from pydicom.valuerep import VR

SUFFIXES = (".dcm", ".dicom")
_VRS = frozenset(str(vr).encode() for vr in VR if len(str(vr)) == 2)
_LONGEST_FIRST = 1024
_PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "ZIP", b"BZh": "bzip2", b"7z\xbc\xaf": "7z", b"\xfd7zX": "xz"}


def is_dicom(path: Path) -> bool:
    """Whether the content is DICOM's, with or without preamble, or the name ends as a DICOM file's."""
    start = _start(path)
    return path.suffix.lower() in SUFFIXES or _has_mark(start) or _begins_with_element(start)


def has_mark(path: Path) -> bool:
    """Whether DICM stands after 128 bytes."""
    return _has_mark(_start(path))


def why_not_dicom(path: Path) -> str:
    """What a file is instead, what was expected and what to do; blank if its content is DICOM's."""
    start = _start(path)
    if _has_mark(start) or _begins_with_element(start):
        return ""
    packed = next((name for mark, name in _PACKED.items() if start.startswith(mark)), None)
    if packed:
        return f"a {packed} file; expected DICOM itself. Unpack it, and give the files in it"
    return "no DICM mark after 128 bytes, nor a DICOM element first; expected a DICOM file. Leave it out"


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(132)
    except OSError:
        return b""


def _has_mark(start: bytes) -> bool:
    return start[128:132] == b"DICM"


def _begins_with_element(start: bytes) -> bool:
    """Whether the file starts as a data set does: an element of group 2 or 8, with a known VR or a short, even length."""
    if len(start) < 8:
        return False
    orders: tuple[Literal["little", "big"], ...] = ("little", "big")
    for order in orders:
        group, element = (int.from_bytes(start[i : i + 2], order) for i in (0, 2))
        if group in (0x0002, 0x0008) and 0 <= element <= 0x2000:
            length = int.from_bytes(start[4:8], "little")
            is_implicit = group == 0x0008 and order == "little" and length % 2 == 0 and length <= _LONGEST_FIRST
            return start[4:6] in _VRS or is_implicit
    return False
