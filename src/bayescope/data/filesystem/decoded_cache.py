"""A cache of decoded images on disk, shared by all commands: decoding a large file takes far longer than loading its pixels.

Each is in the user's cache folder, which no one else may enter, under a hash: no name of a file or patient is written.  The
hash is of the file's real path, length, times and number, of the size asked for and of the versions that read it, so that a
changed file is read again.  The least recently used go first once all take more than :func:`limit` bytes.  An entry that is
damaged, or a folder that cannot be written, only means that the file is read.

``BAYESCOPE_CACHE_DIR`` names another folder, and turns the cache off if it is blank or ``off``; ``BAYESCOPE_CACHE_BYTES`` is
another limit.
"""

import hashlib
import io
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import platformdirs

from bayescope.data.formats.images import READER, Warn, read_image
from bayescope.errors import ConfigError
from bayescope.types import Pixels

FOLDER, BYTES = "BAYESCOPE_CACHE_DIR", "BAYESCOPE_CACHE_BYTES"
DEFAULT_BYTES = 2**30
_LIBRARIES = ("pillow", "tifffile", "imagecodecs", "numpy", "scipy", "scikit-image")
_SMALLEST_FILE = 2**14
_FEWEST_PIXELS = 2**18
_DIGEST_BYTES = 32
_KEPT_SHARE = 0.9


@dataclass
class DecodedImages:
    """The entries in ``folder``; None for no cache."""

    folder: Path | None
    limit: int = DEFAULT_BYTES
    bytes_held: int | None = field(default=None, init=False)
    """Known once something was written; what other processes write meanwhile is counted at the next clearing."""

    @classmethod
    def opened(cls) -> "DecodedImages":
        """As the environment says.  Raises ConfigError for a limit that is no number of bytes."""
        named = os.environ.get(FOLDER)
        if named is not None and named.strip().lower() in ("", "off"):
            return cls(None)
        folder = Path(named) if named else Path(platformdirs.user_cache_dir("bayescope", appauthor=False)) / "decoded"
        return cls(_own_folder(folder), limit())

    def read(self, path: Path, size: int | None, warn: Warn = lambda text: None) -> Pixels:
        """As :func:`bayescope.data.formats.images.read_image`, from the cache where it has the file as it is now.

        An image that is warned of is not kept.
        """
        key = self._key(path, size)
        if key is not None and (kept := self._kept(key)) is not None:
            return kept
        warnings: list[str] = []
        pixels = read_image(path, size, warnings.append)
        for text in warnings:
            warn(text)
        if key is not None and not warnings and _is_slow(pixels, path, size) and key == self._key(path, size):
            self._keep(key, pixels)
        return pixels

    def _key(self, path: Path, size: int | None) -> str | None:
        if self.folder is None:
            return None
        try:
            about = path.stat()
            if about.st_size < _SMALLEST_FILE:
                return None
            key = (os.fsencode(path.resolve()), about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino, size)
        except (OSError, RuntimeError):
            return None
        return hashlib.sha256(repr((key, path.suffix.lower(), _reader())).encode()).hexdigest()

    def _kept(self, key: str) -> Pixels | None:
        assert self.folder is not None
        entry = self.folder / f"{key}.npy"
        try:
            content = entry.read_bytes()
            body, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
            if digest != _digest(key, body):
                return None
            pixels: Pixels = np.load(io.BytesIO(body), allow_pickle=False)
        except Exception:  # damaged, or not there: the file is read
            return None
        with suppress(OSError):
            os.utime(entry)  # file systems do not always note when a file was read
        return pixels

    def _keep(self, key: str, pixels: Pixels) -> None:
        assert self.folder is not None
        stream = io.BytesIO()
        np.save(stream, np.ascontiguousarray(pixels), allow_pickle=False)
        content = stream.getvalue() + _digest(key, stream.getvalue())
        if len(content) > self.limit // 8:
            return
        partial = self.folder / f".{key}.{secrets.token_hex(4)}"
        try:
            if self.bytes_held is None:
                self.bytes_held = sum(n_bytes for _, n_bytes, _ in self._entries())
            if self.bytes_held + len(content) > self.limit:
                self._clear(len(content))
            partial.write_bytes(content)
            partial.chmod(stat.S_IRUSR | stat.S_IWUSR)
            partial.replace(self.folder / f"{key}.npy")
            self.bytes_held += len(content)
        except OSError:  # a full or read-only disk
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    def _entries(self) -> list[tuple[int, int, Path]]:
        """When each was last used, its bytes and its path, parts that a killed process left among them."""
        found = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                with suppress(OSError):
                    about = entry.stat(follow_symlinks=False)
                    found.append((about.st_mtime_ns, about.st_size, Path(entry.path)))
        return found

    def _clear(self, wanted: int) -> None:
        """Take away what was used longest ago, until ``wanted`` bytes more leave some room."""
        entries = sorted(self._entries())
        held = sum(n_bytes for _, n_bytes, _ in entries)
        for _, n_bytes, path in entries:
            if held + wanted <= _KEPT_SHARE * self.limit:
                break
            with suppress(OSError):
                path.unlink()
                held -= n_bytes
        self.bytes_held = held


def limit() -> int:
    """Most bytes that the cache takes: ``BAYESCOPE_CACHE_BYTES``, or 1 GiB.  Raises ConfigError if it is no number."""
    value = os.environ.get(BYTES, str(DEFAULT_BYTES))
    if not value.strip().isdecimal():
        raise ConfigError(f"{BYTES} is {value!r}; expected a number of bytes, such as {DEFAULT_BYTES}. Correct or unset it")
    return int(value)


def _own_folder(folder: Path) -> Path | None:
    """The folder, created if missing, for its owner alone; None if that is not possible."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.stat()
        if hasattr(os, "getuid") and about.st_uid != os.getuid():
            return None
        if stat.S_IMODE(about.st_mode) != 0o700:
            folder.chmod(0o700)
    except OSError:
        return None
    return folder


def _is_slow(pixels: Pixels, path: Path, size: int | None) -> bool:
    """Whether decoding took many pixels: of a resized image, only the length of its file shows this."""
    return pixels.size >= _FEWEST_PIXELS or (size is not None and path.stat().st_size >= _FEWEST_PIXELS // 4)


@cache
def _reader() -> str:
    return " ".join([str(READER), *(f"{name} {version(name)}" for name in _LIBRARIES)])


def _digest(key: str, body: bytes) -> bytes:
    return hashlib.blake2b(key.encode() + body, digest_size=_DIGEST_BYTES).digest()
