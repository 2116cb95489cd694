"""Which images belong together: by the table of a cache, by a table of files, or by DICOM headers."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from bayescope.data.formats import dicom
from bayescope.data.groups import NEEDS, keys_of_table
from bayescope.data.tables.case_table import read_path_table
from bayescope.errors import DataError
from bayescope.inference.read import ModelInput

_COLUMNS = ("patient", "side", "study")
_LATERALITIES = ("ImageLaterality", "Laterality")


def group_keys(images: ModelInput, by: str, table: Path | None = None) -> tuple[str, ...]:
    """Patient, breast or study of each image that was read.

    Parameters
    ----------
    images : ModelInput
        The images.
    by : str
        ``"patient"``, ``"breast"`` or ``"study"``.
    table : Path, optional
        CSV, TSV or Parquet table with a column path, and patient, side or study (default: the table of the cache, or PatientID,
        laterality and StudyInstanceUID of DICOM headers).

    Returns
    -------
    tuple of str
        Blank where it is not known.

    Raises
    ------
    ConfigError
        If ``by`` is something else.
    DataError
        If it is known of no image, or the table cannot be read.

    Examples
    --------
    >>> images = read_for_model(model, [Path("examination")])  # doctest: +SKIP
    >>> combine(model, model.classify(images.pixels), group_keys(images, "breast"), "breast")  # doctest: +SKIP
    """
    from_cache = table is None and bool(images.keys)
    found = images.keys.get(by) if from_cache else keys_of_table(_rows_of(images.paths, table), by)
    if found is None or not any(found):
        raise DataError(
            f"{len(images)} images, none with its {by}; expected some. Give --groups TABLE, with a column path and {NEEDS[by]}"
        )
    return found


def header_keys(paths: Sequence[Path], by: str) -> tuple[str, ...]:
    """Patient, breast or study of each file by its DICOM header, blank where it is not known.

    Raises ConfigError if ``by`` is something else.
    """
    return keys_of_table(_rows_of(paths, None), by) or ("",) * len(paths)


def _rows_of(paths: Sequence[Path], table: Path | None) -> pd.DataFrame:
    """Patient, side and study of each file, blank where they are not known."""
    if table is None:
        return pd.DataFrame([_in_header(path) for path in paths], columns=list(_COLUMNS))
    given = read_path_table(table, _COLUMNS)
    by_path = given.assign(path=[str(Path(path).resolve()) for path in given["path"]]).set_index("path")
    return by_path.reindex([str(path.resolve()) for path in paths]).fillna("")


def _in_header(path: Path) -> tuple[str, str, str]:
    if not dicom.is_dicom(path):
        return "", "", ""
    patient, study, *sides = dicom.read_header(path, "PatientID", "StudyInstanceUID", *_LATERALITIES)
    return patient, next((side for side in sides if side in ("L", "R")), ""), study
