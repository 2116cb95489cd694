"""The images of an archive, listed without being read: files of folders, tables of paths, addresses, or rows of a cache."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pandas as pd

from bayescope.archive.addresses import find_files, is_address, open_binary, open_filesystem
from bayescope.data.filesystem.class_folders import sort_images
from bayescope.data.filesystem.file_summary import FileSummary
from bayescope.data.filesystem.walk import walk
from bayescope.data.formats.images import SUFFIXES
from bayescope.data.preparation.cache import is_cache
from bayescope.errors import DataError

TABLES = {".csv": ",", ".tsv": "\t", ".parquet": ""}
"""Suffixes of tables of paths, with the separator."""
_DICOM = (".dcm", ".dicom", "")
"""Suffixes of DICOM files at addresses, which are not opened to be listed."""


@dataclass(frozen=True)
class ImageFiles:
    """``files``: path or address of each image, each once, in order; ``summary``: what was found in folders."""

    files: tuple[str, ...]
    summary: FileSummary


def list_images(sources: Sequence[str], with_dicom: bool) -> ImageFiles:
    """The image files of ``sources``.

    Parameters
    ----------
    sources : sequence of str
        Files; folders, searched as described for :func:`bayescope.data.filesystem.walk.walk`; tables, CSV, TSV or Parquet, with
        a column ``path`` of files, which are relative to the table; each as a path, or as an address that fsspec opens.  A
        listed file need not be there.
    with_dicom : bool
        Whether DICOM files are images: those of folders are recognised by their content, those under addresses by a suffix
        ``.dcm``, ``.dicom`` or none.

    Returns
    -------
    ImageFiles
        The files.

    Raises
    ------
    DataError
        If a source is missing, is a cache or has no image, or a table no column ``path``.
    ConfigError
        If there is no file system for an address.
    """
    files: set[str] = set()
    used, left_out = 0, list[str]()
    for source in sources:
        if PurePosixPath(urlsplit(source).path).suffix.lower() in TABLES:
            found, others = _of_table(source), list[str]()
        elif is_address(source):
            found, others = _at_address(source, with_dicom)
        else:
            found, others = _of_path(Path(source), with_dicom)
        if not found:
            account = FileSummary.of(0, others)
            raise DataError(f"{source}: no image there ({account or 'empty'}); expected some. Give a source with images")
        files.update(found)
        used, left_out = used + len(found), left_out + others
    return ImageFiles(tuple(sorted(files)), FileSummary.of(used, left_out))


def _of_path(path: Path, with_dicom: bool) -> tuple[list[str], list[str]]:
    """Files, and the reasons for which others are left out."""
    if not path.is_dir():
        if not path.is_file():
            raise DataError(f"{path}: no such file or folder; expected images. Check the path")
        return [str(path)], []
    if is_cache(path):
        raise DataError(f"{path}: a cache of `bayescope prepare` beside other sources; expected it alone. Give the cache alone")
    found = walk(path)
    images, others = sort_images(found.files, with_dicom)
    return [str(image) for image in images], [file.reason for file in (*others, *found.left_out)]


def _at_address(address: str, with_dicom: bool) -> tuple[list[str], list[str]]:
    suffixes = {*SUFFIXES, *(_DICOM if with_dicom else ())}
    images, others = list[str](), list[str]()
    for file in find_files(address):
        suffix = PurePosixPath(urlsplit(file).path).suffix.lower()
        if suffix in suffixes:
            images.append(file)
        else:
            others.append(f"{suffix or 'file without suffix'} is not read")
    return images, others


def _of_table(table: str) -> list[str]:
    """The column ``path`` of a table."""
    suffix = PurePosixPath(urlsplit(table).path).suffix.lower()
    with open_binary(table) as file:
        try:
            rows = pd.read_csv(file, sep=TABLES[suffix], dtype=str) if TABLES[suffix] else pd.read_parquet(file)
        except Exception as error:  # pandas and pyarrow raise their own kinds on a damaged file
            raise DataError(f"{table}: cannot be read as a table ({error}); expected {suffix}. Export it again") from None
    if "path" not in rows.columns:
        raise DataError(f"{table}: columns {list(rows.columns)}; expected a column path. Name the column so")
    paths = [str(path) for path in rows["path"].dropna()]
    for protocol in {path.partition("://")[0] for path in paths if is_address(path)}:
        open_filesystem(next(path for path in paths if path.startswith(f"{protocol}://")))
    return [_beside(table, path) for path in paths]


def _beside(table: str, path: str) -> str:
    """``path``, relative to the table's folder."""
    if is_address(path) or path.startswith("/"):
        return path
    return f"{table.rpartition('/')[0]}/{path}" if is_address(table) else str(Path(table).absolute().parent / path)
