"""File and class names that are not UTF-8, or whose accents are composed differently."""

import os
import unicodedata
from pathlib import Path


def printable(name: str | Path) -> str:
    """The name as text that any encoding of Unicode can represent: bytes that are no UTF-8 become ``\\xe9``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def class_name(name: str) -> str:
    """The name of a class: accents composed (NFC), no blanks at either end, so that spellings that look alike are one."""
    return unicodedata.normalize("NFC", printable(name)).strip()


def existing(path: Path) -> Path:
    """The file as it is on disk, where its accents are composed or decomposed otherwise; ``path`` if there is none.

    macOS and archives made there decompose what tables compose.
    """
    try:
        return path if path.exists() or str(path).isascii() else _spelt_otherwise(path)
    except OSError:
        return path  # reading it gives the reason


def _spelt_otherwise(path: Path) -> Path:
    folder = path.parent if path.parent == path or path.parent.exists() else _spelt_otherwise(path.parent)
    if (folder / path.name).exists() or not folder.is_dir():
        return folder / path.name
    wanted = unicodedata.normalize("NFC", path.name)
    return next((child for child in folder.iterdir() if unicodedata.normalize("NFC", child.name) == wanted), path)
