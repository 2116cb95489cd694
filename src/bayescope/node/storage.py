"""Files of a node: an object is written, flushed to disk and only then renamed to the name that the queue refers to."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bayescope.errors import RunError, writing

OBJECTS, RESULTS = "objects", "results"
_PART = ".part"


class Storage:
    """Objects received and results made, below a folder, each under a name that tells nothing of the patient."""

    def __init__(self, folder: Path, keep_free_bytes: int = 0) -> None:
        self._folder, self._keep_free_bytes = folder, keep_free_bytes
        for kind in (OBJECTS, RESULTS):
            with writing(folder / kind):
                (folder / kind).mkdir(parents=True, exist_ok=True, mode=0o750)

    def path(self, kind: str, name: str) -> Path:
        """Of a file of that name, which need not exist."""
        return self._folder / kind / name[:2] / name

    @contextmanager
    def part(self, kind: str, content: bytes) -> Iterator[Path]:
        """A new file of this content, on disk and not yet under its name; removed unless :meth:`keep` was called on it.

        Raises RunError if it cannot be written, or too little space would be left.
        """
        folder = self._folder / kind
        with writing(folder):
            free = shutil.disk_usage(folder).free
        if free - len(content) < self._keep_free_bytes:
            raise RunError(
                f"{folder}: {free >> 20} MiB free; expected {self._keep_free_bytes >> 20} after writing {len(content) >> 20}. "
                "Free some space: `bayescope node purge`"
            )
        with writing(folder):
            handle, name = tempfile.mkstemp(dir=folder, suffix=_PART)
        part = Path(name)
        try:
            with writing(part), os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield part
        finally:
            part.unlink(missing_ok=True)

    def keep(self, part: Path, kind: str, name: str) -> None:
        """Give a part its name; a file of that name is replaced."""
        path = self.path(kind, name)
        with writing(path):
            if not path.parent.is_dir():
                path.parent.mkdir(exist_ok=True, mode=0o750)
                _flush(path.parent.parent)
            part.replace(path)
            _flush(path.parent)

    def write(self, kind: str, name: str, content: bytes) -> None:
        """Write a file under its name.  Raises RunError as :meth:`part`."""
        with self.part(kind, content) as part:
            self.keep(part, kind, name)

    def remove(self, kind: str, names: Iterable[str]) -> None:
        """Delete files; one that is gone already is passed over."""
        for name in names:
            self.path(kind, name).unlink(missing_ok=True)

    def clear(self, kind: str, known: set[str]) -> int:
        """Delete what a killed node left: parts, and files that are not ``known`` to the queue; the number of them."""
        left = [path for path in (self._folder / kind).rglob("*") if path.is_file() and path.name not in known]
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)

    def used_bytes(self) -> int:
        """Of all files; one that goes meanwhile counts nothing."""
        paths = (path for kind in (OBJECTS, RESULTS) for path in (self._folder / kind).rglob("*"))
        return sum(map(_size, paths))


def _size(path: Path) -> int:
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def _flush(folder: Path) -> None:
    """Bring the names in a folder to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
