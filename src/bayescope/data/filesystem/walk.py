"""The files of a folder, searched in the same way by every command: each is returned or left out with a reason.

Links to files and folders are followed. What several names lead to is read once, under its own name where that is in the
folder too; so a link to a folder above it is not followed further. Left out are hidden files and folders, whose names begin
with a full stop (``.ipynb_checkpoints``, ``.git`` and the ``._name`` files of macOS among them), those of ``SYSTEM_NAMES``,
links that lead nowhere, and what is no regular file. The names of the folder itself and of what links lead to do not matter.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bayescope.data.filesystem.file_summary import FileSummary
from bayescope.errors import DataError, reading

SYSTEM_NAMES = frozenset(
    {
        "__macosx",  # macOS, in ZIP files
        "@eadir",  # Synology: thumbnails
        "#recycle",
        "@recycle",
        "$recycle.bin",
        "recycler",
        "#snapshot",
        "@recently-snapshot",
        "system volume information",
        "lost+found",
        "__pycache__",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "icon\r",  # macOS
        "dicomdir",  # a list of DICOM files, no image
    }
)
"""Of files and folders that systems, network drives and PACS media leave among a user's own, in lower case."""


@dataclass(frozen=True)
class LeftOut:
    """A file that was not used, and why.

    ``same_as`` is what a link leads to, if that was found under another name; ``failed``: it should have been used, but cannot.
    """

    path: Path
    reason: str
    same_as: Path | None = None
    failed: bool = False


@dataclass(frozen=True)
class Walk:
    """All that is under ``root``: ``files`` in order of path, and the others."""

    root: Path
    files: tuple[Path, ...]
    left_out: tuple[LeftOut, ...]

    def account(self, used: int, others: list[LeftOut]) -> FileSummary:
        """The account of these files when ``used`` of ``files`` are used and ``others`` of them are left out too."""
        return FileSummary.of(used, (file.reason for file in (*self.left_out, *others)))


def is_hidden(name: str) -> bool:
    """Whether files and folders of this name are left out."""
    return name.startswith(".") or name.lower() in SYSTEM_NAMES


def walk(folder: Path) -> Walk:
    """Every file under ``folder``.  Raises DataError if it, or a folder in it, cannot be entered."""
    with reading(folder):
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder; expected a folder of images. Check the path")
        walker = _Walker()
        walker.enter(folder, folder.resolve())
        walker.follow_links()
    return Walk(folder, tuple(sorted(walker.files)), tuple(sorted(walker.left_out, key=lambda file: file.path)))


def visible_folders(folder: Path) -> list[Path]:
    """The folders in ``folder``, linked ones too, that are not left out, in order of name."""
    with reading(folder):
        return sorted(child for child in folder.iterdir() if not is_hidden(child.name) and child.is_dir())


@dataclass
class _Walker:
    """First all that is in the folder itself, then what links lead to: the order of names does not decide what is read."""

    files: list[Path] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    seen: dict[Path, Path] = field(default_factory=dict)
    """The name under which it was found, by real path."""
    links: list[Path] = field(default_factory=list)

    def enter(self, folder: Path, real: Path) -> None:
        self.seen[real] = folder
        with os.scandir(folder) as entries:
            children = sorted(entries, key=lambda entry: entry.name)
        for child in children:
            path = folder / child.name
            if is_hidden(child.name):
                self._leave_out_hidden(child)
            elif child.is_symlink() or _is_junction(child):
                self.links.append(path)
            else:
                self._take(path, real / child.name)

    def follow_links(self) -> None:
        while self.links:
            batch, self.links = sorted(self.links), []
            for link in batch:
                try:
                    self._take(link, link.resolve(strict=True))
                except (OSError, RuntimeError):  # RuntimeError: a loop of links, before Python 3.13
                    self.left_out.append(LeftOut(link, "link that leads nowhere"))

    def _take(self, path: Path, real: Path) -> None:
        if real in self.seen:
            self.left_out.append(LeftOut(path, "read already under another name", self.seen[real]))
            return
        try:
            mode = path.stat().st_mode
        except OSError as error:
            self.left_out.append(LeftOut(path, f"cannot be reached ({error.strerror})"))
            return
        if stat.S_ISDIR(mode):
            with reading(path):
                self.enter(path, real)
        elif stat.S_ISREG(mode):
            self.seen[real] = path
            self.files.append(path)
        else:
            self.left_out.append(LeftOut(path, "no regular file"))

    def _leave_out_hidden(self, child: "os.DirEntry[str]") -> None:
        if child.is_dir(follow_symlinks=False):
            reason = f"in folder {child.name}, which is hidden or a system's"
            self.left_out += [LeftOut(path, reason) for path in _files_below(Path(child.path))]
        else:
            self.left_out.append(LeftOut(Path(child.path), "hidden or a system's file"))


def _files_below(folder: Path) -> Iterator[Path]:
    """All that is no folder, to be counted; no link is followed, and folders that cannot be entered are passed over."""
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent, name) for name in files)
        yield from (path for name in folders if (path := Path(parent, name)).is_symlink())


def _is_junction(entry: "os.DirEntry[str]") -> bool:
    """A folder of Windows that leads elsewhere; known from Python 3.12 on."""
    return bool(getattr(entry, "is_junction", lambda: False)())
