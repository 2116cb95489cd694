"""Files at addresses that fsspec reads, ``s3://``, ``gs://``, ``https://`` and others; credentials by its own means."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import fsspec
from fsspec.core import url_to_fs

from bayescope.errors import ConfigError, DataError


def is_address(text: str) -> bool:
    """Whether ``text`` is an address rather than a path."""
    return "://" in text


def open_filesystem(address: str) -> tuple[Any, str]:
    """The file system of an address and the path in it.  Raises ConfigError if there is none for it."""
    try:
        return url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise ConfigError(
            f"{address}: no file system for this address ({error}); expected one that fsspec opens. Install its package, such "
            "as s3fs for s3:// or gcsfs for gs://, or correct the address"
        ) from None


def find_files(address: str) -> list[str]:
    """Addresses of the file at an address, or of all files under it.  Raises DataError if there is none."""
    filesystem, root = open_filesystem(address)
    try:
        found = [root] if filesystem.isfile(root) else filesystem.find(root)
    except Exception as error:  # each file system raises its own kinds
        raise _unreachable(address, error) from None
    if not found:
        raise DataError(f"{address}: no file there; expected images. Check the address")
    return [filesystem.unstrip_protocol(path) for path in found]


@contextmanager
def local_copy(file: str) -> Iterator[Path]:
    """The path of a file on this machine, a temporary copy if it is elsewhere.  Raises DataError if it cannot be fetched."""
    if not is_address(file):
        yield Path(file)
        return
    with tempfile.TemporaryDirectory(prefix="bayescope-") as folder:
        copy = Path(folder) / (PurePosixPath(urlsplit(file).path).name or "file")
        try:
            filesystem, path = url_to_fs(file)
            filesystem.get_file(path, str(copy))
        except Exception as error:  # each file system raises its own kinds
            raise _unreachable(file, error) from None
        yield copy


def open_binary(file: str) -> Any:
    """A file opened for reading, wherever it is; a context manager.  Raises DataError if it cannot be opened."""
    try:
        return fsspec.open(file, "rb").open()
    except Exception as error:  # each file system raises its own kinds
        raise _unreachable(file, error) from None


def _unreachable(address: str, error: Exception) -> DataError:
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return DataError(
        f"{address}: cannot be reached ({reason:.200}); expected a readable file. Check the address and the credentials that "
        "fsspec finds"
    )
