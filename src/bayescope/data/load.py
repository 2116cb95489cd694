"""Loads a labelled image set: a MedMNIST file, a folder of class folders, a case table, or a prepared cache."""

from dataclasses import replace
from pathlib import Path

from bayescope.data.dataset import Dataset
from bayescope.data.filesystem.class_folders import read_class_folders
from bayescope.data.formats.medmnist import read_npz
from bayescope.data.labelled import SPLITS, LabelledImages
from bayescope.data.preparation.cache import is_cache, read_cache
from bayescope.data.tables.case_table import SUFFIXES
from bayescope.data.tables.cases import Callback, Cases, divided_cases, read_cases
from bayescope.data.unlabelled import with_blank_labels
from bayescope.errors import DataError, reading


def load_dataset(
    path: Path,
    size: int | None = None,
    seed: int = 0,
    callback: Callback = lambda done, total: None,
    normalise_labels: bool = False,
) -> Dataset:
    """Load a labelled image set, divided into training, validation and test images.

    Parameters
    ----------
    path : Path
        A MedMNIST ``.npz`` file, a folder with one folder of images per class, a case table ``path,label[,patient][,split]``,
        or a cache of ``bayescope prepare``.  Images whose label is blank in a table become training images without labels,
        unless their split or their patient is for validation or test.
    size : int, optional
        Side in pixels to which images of a folder or table are resized (default: they are not).
    seed : int, default 0
        Seed of the split, where the source gives none.
    callback : callable, optional
        Called with ``(done, total)`` as files are read.
    normalise_labels : bool, default False
        Whether labels and patients that differ only in spelling are taken as the same.

    Returns
    -------
    Dataset
        The three splits, with the warnings found on reading.

    Raises
    ------
    DataError
        If the source cannot be read or used; the message says what was found, what was expected and what to do.

    Examples
    --------
    >>> from pathlib import Path
    >>> from bayescope import load_dataset
    >>> data = load_dataset(Path("breastmnist.npz"))  # doctest: +SKIP
    >>> data.train.pixels.shape  # doctest: +SKIP
    (546, 1, 28, 28)
    """
    path = _checked(path)
    if (cases := _cases(path, normalise_labels, partial=False)) is not None:
        data = divided_cases(cases, size, seed, callback)
        return data if cases.unlabelled is None else with_blank_labels(data, cases.unlabelled, size, callback)
    found = _whole(path, size)
    assert found.split is not None
    if absent := [name for name in SPLITS if name not in found.split]:
        raise DataError(
            f"{path.name}: no images for {', '.join(absent)}; expected train, val and test. Give data with all three to train "
            "on"
        )
    return found.dataset(found.split)


def load_images(
    path: Path,
    size: int | None = None,
    callback: Callback = lambda done, total: None,
    normalise_labels: bool = False,
) -> LabelledImages:
    """All images of what ``path`` is, with the split it gives, if any: no split is drawn, and none must be there.

    Arguments and errors as of :func:`load_dataset`.
    """
    path = _checked(path)
    if (cases := _cases(path, normalise_labels, partial=True)) is not None:
        found = read_cases(cases, size, callback)
        if cases.unlabelled is None:
            return found
        return replace(found, warnings=(*found.warnings, f"{len(cases.unlabelled)} rows with a blank label are left out"))
    return _whole(path, size)


def _checked(path: Path) -> Path:
    path = Path(path)
    with reading(path):
        exists = path.exists()
    if not exists:
        raise DataError(
            f"{path}: no such file or folder; expected a .npz file, a folder of class folders, or a table. Check the path"
        )
    return path


def _cases(path: Path, normalise_labels: bool, partial: bool) -> Cases | None:
    """The cases of a folder or table; None for anything else."""
    if path.is_dir() and not is_cache(path):
        folder = path.resolve()  # "." has no name to report
        found = read_class_folders(folder, partial=partial)
        return Cases(found.cases, folder.name, files=found.files).spelt_alike(normalise_labels)
    if path.suffix.lower() in SUFFIXES and path.is_file():
        cases = Cases.of_table(path, normalise_labels)
        if "frame" in cases.table.columns:
            raise DataError(
                f"{path}: a column frame, which is for DICOM; expected none for plain images. Make a cache with `bayescope "
                "prepare folder`, and give that"
            )
        return cases
    return None


def _whole(path: Path, size: int | None) -> LabelledImages:
    """A cache or a MedMNIST file."""
    if path.is_dir():
        data, otherwise = read_cache(path.resolve()), "prepare one of that size"
    elif path.suffix.lower() == ".npz":
        data, otherwise = read_npz(path), "give the file of that size"
    else:
        raise DataError(
            f"{path.name}: a {path.suffix or 'nameless'} file; expected .npz, {', '.join(SUFFIXES)} or a folder. Give one of "
            "these"
        )
    shape = data.images.image_shape[1:]
    if size is not None and shape != (size, size):
        raise DataError(
            f"{path.name}: images of {shape} pixels; --size {size} cannot change them. Leave --size out, or {otherwise}"
        )
    return data
