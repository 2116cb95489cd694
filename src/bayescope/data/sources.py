"""The one door for labelled image sets: a MedMNIST file, a folder of class folders, a case table, or a prepared cache."""

from pathlib import Path

from bayescope.data.cache import is_cache, read_cache
from bayescope.data.cases import Callback, read_table, to_dataset
from bayescope.data.folders import read_class_folders
from bayescope.data.images import Dataset
from bayescope.data.medmnist import read_npz
from bayescope.errors import DataError, reading


def load_dataset(path: Path, size: int | None = None, seed: int = 0, callback: Callback = lambda done, total: None) -> Dataset:
    """Open what ``path`` is.  ``size`` brings images of a folder or table to ``size`` by ``size`` pixels; ``seed`` draws
    the split where none is given; ``callback(done, total)`` hears of files read.

    Raises DataError saying what was found, what was expected and what to do.
    """
    path = Path(path)
    with reading(path):
        exists, is_folder = path.exists(), path.is_dir()
    if not exists:
        raise DataError(
            f"{path}: no such file or folder; expected a .npz file, a folder of class folders, or a table. Check the path"
        )
    suffix = path.suffix.lower()
    if is_folder and is_cache(path):
        data = read_cache(path.resolve())
        _check_size(data, path, size, "prepare one of that size")
        return data
    if is_folder:
        folder = path.resolve()  # "." has no name to report
        found = read_class_folders(folder)
        return to_dataset(found.cases, folder.name, size, seed, callback, found.files)
    if suffix in (".csv", ".parquet"):
        return read_table(path, size, seed, callback)
    if suffix != ".npz":
        raise DataError(
            f"{path.name}: a {path.suffix or 'nameless'} file; expected .npz, .csv, .parquet or a folder. Give one of these"
        )
    data = read_npz(path)
    _check_size(data, path, size, "give the file of that size")
    return data


def _check_size(data: Dataset, path: Path, size: int | None, otherwise: str) -> None:
    if size is not None and data.train.image_shape[1:] != (size, size):
        raise DataError(
            f"{path.name}: images of {data.train.image_shape[1:]} pixels; --size {size} cannot change them. "
            f"Leave --size out, or {otherwise}"
        )
