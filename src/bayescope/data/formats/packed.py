"""Compressed files and archives, recognised by their first bytes: they must be unpacked before images are read."""

from pathlib import Path

from bayescope.errors import DataError

_PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"7z\xbc\xaf": "7z"}
_UNPACK = {"gzip": "gunzip", "zip": "unzip", "bzip2": "bunzip2", "xz": "unxz", "7z": "7z x"}


def check_not_packed(name: str | Path, content: bytes, expected: str) -> None:
    """Raise DataError, with the command that unpacks it, if the first bytes of a file are those of a compressed one."""
    if packed := next((kind for mark, kind in _PACKED.items() if content.startswith(mark)), None):
        raise DataError(f"{name}: a {packed} file; expected {expected} as such. Unpack it first: {_UNPACK[packed]} {name}")
