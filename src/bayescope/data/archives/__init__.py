"""Published mammography archives and image folders as case tables: the readers by name.

A new archive is one module in this package and one line in ``ARCHIVES``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from bayescope.data.archives.base import Archive
    from bayescope.data.splits import Split

FOLDER = "folder"
"""The name of class folders and case tables, whose classes and splits are their own."""


@dataclass(frozen=True)
class Reader:
    """How one kind of archive is read.

    Parameters
    ----------
    read : callable
        ``read(source, task, split)`` returns the images of a task in the folder ``source`` as an
        :class:`~bayescope.data.archives.base.Archive`.
    tasks : tuple of str
        Tasks to suggest; ``read`` may know others.
    scheme : str
        How cases are split by default: "official", "leak-free" or "folds".
    """

    read: "Callable[[Path, str, Split], Archive]"
    tasks: tuple[str, ...]
    scheme: str


def _imported(module: str, name: str) -> "Callable[[Path, str, Split], Archive]":
    """The function ``name`` of a module of this package, which is imported by the first call."""

    def read(source: Path, task: str, split: "Split") -> "Archive":
        found: Archive = getattr(import_module(f"{__name__}.{module}"), name)(source, task, split)
        return found

    return read


_CBIS_DDSM_TASKS = ("mass-roi", "mass-full", "calc-roi", "calc-full", "both-roi", "both-full")
ARCHIVES: dict[str, Reader] = {
    "cbis-ddsm": Reader(_imported("cbis_ddsm", "read_cbis_ddsm"), _CBIS_DDSM_TASKS, "official"),
    "inbreast": Reader(_imported("inbreast", "read_inbreast"), ("1-3/4-6", "1-2/4-6"), "folds"),
    "mias": Reader(_imported("mias", "read_mias"), ("normal/abnormal", "benign/malignant", "benign/malignant-roi"), "folds"),
    "vindr": Reader(_imported("vindr", "read_vindr"), ("1-3/4-5", "1-2/4-5"), "official"),
}


def read_archive(
    kind: str,
    source: Path,
    task: str | None = None,
    split: str | None = None,
    *,
    fold: int | None = None,
    folds: int | None = None,
    val_fraction: float | None = None,
    seed: int = 0,
    frame: int | Literal["all"] | None = None,
    normalise_labels: bool = False,
) -> "Archive":
    """Read the case table of an archive or of an image folder.

    Parameters
    ----------
    kind : str
        Name in ``ARCHIVES``, or "folder": class folders or a case table, whose classes and splits are their own.
    source : Path
        Folder of the archive as downloaded, tables and images anywhere in it; for "folder" also a case table.
    task : str, optional
        Which images and classes, such as "mass-roi"; required for archives, not taken for "folder".
    split : str, optional
        "official", "leak-free" or "folds" for archives, by default the usual one of the archive; "test" for "folder":
        every image is for testing.
    fold : int, default 0
        Which of the folds to test on, from 0; with "folds" only.
    folds : int, default 5
        Number of folds, drawn by patient; with "folds" only.
    val_fraction : float, default 0.1
        Share of the training patients drawn for validation; for archives only.
    seed : int, default 0
        Seed of drawn splits.
    frame : int or "all", optional
        Which frame of DICOM files of several, from 1, or "all" for a case each; for "folder" only.
    normalise_labels : bool, default False
        Whether classes and patients that differ in case, blanks or number format are the same; for "folder" only.

    Returns
    -------
    Archive
        The case table and its summary.

    Raises
    ------
    ConfigError
        For an unknown archive, task or split, or settings that do not go together.
    DataError
        If the tables are missing or cannot be read, or no image is found.
    """
    from bayescope.errors import ConfigError

    drawing = {"fold": fold, "folds": folds, "val_fraction": val_fraction}
    given = {name: value for name, value in drawing.items() if value is not None}
    if kind == FOLDER:
        if task is not None or given or split not in (None, "test"):
            raise ConfigError(
                "--task, --split, --fold, --folds or --val-fraction; expected none for a folder but --split test: its classes "
                "and splits are those it has"
            )
        from bayescope.data.archives.image_folder import read_image_folder

        return read_image_folder(source, seed, frame, normalise_labels, all_test=split == "test")
    if kind not in ARCHIVES:
        raise ConfigError(f"archive {kind!r}; expected one of {', '.join([*ARCHIVES, FOLDER])}")
    if frame is not None or normalise_labels or split == "test":
        raise ConfigError(
            f"--frame, --normalise-labels or --split test with {kind}; expected them with folder only. Leave them out"
        )
    reader = ARCHIVES[kind]
    if task is None:
        raise ConfigError(f"no --task; expected one, such as: {', '.join(reader.tasks)}")
    return reader.read(source, task, _split(split or reader.scheme, seed, given))


def _split(scheme: str, seed: int, given: dict[str, Any]) -> "Split":
    """The split with the settings ``given`` in place of the defaults."""
    from bayescope.data.splits import Split
    from bayescope.errors import ConfigError

    if scheme != "folds" and given.keys() & {"fold", "folds"}:
        raise ConfigError(f"--fold or --folds with the {scheme} split; expected them with folds only. Add --split folds")
    return Split(scheme, seed=seed, **given)
