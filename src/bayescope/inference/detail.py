"""An image in more detail than a model takes it, in the same frame: what to look at while the model's evidence lies over it."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from bayescope.data.formats.images import read_image
from bayescope.data.formats.resize import fit
from bayescope.data.preparation.mammogram import Record
from bayescope.data.preparation.workers import prepare_file
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.read import convert_for_model
from bayescope.types import Pixels


def detailed_image(
    model: LikelihoodModel, path: Path, frame: int | None, preparation: Record | None, longest_side: int
) -> Pixels | None:
    """Read a file at a whole multiple of the model's size, prepared or fitted as for the model.

    Parameters
    ----------
    model : LikelihoodModel
        The model.
    path : Path
        File of the image.
    frame : int or None
        Number of its frame, from 1, where it has several.
    preparation : Record or None
        What was done to prepare it, of a model that prepares its images; see :class:`bayescope.inference.read.ModelInput`.
    longest_side : int
        Most pixels along either side.

    Returns
    -------
    ndarray of shape (channel, k * height, k * width) or None
        Stored values as of the model's images; k is as large as the file's own resolution and ``longest_side`` allow.  None if
        that is the model's own size.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    _, height, width = model.image_shape
    bound = longest_side // max(height, width)
    if model.preparation and preparation:
        top, left, bottom, right = preparation.box
        k = min(bound, round(max(bottom - top, right - left) / height))
        if k < 2:
            return None
        larger = replace(model.preparation, size=k * model.preparation.size)
        return prepare_file(path, larger, frame=None if frame is None else frame - 1)[0][None]
    pixels = read_image(path)
    k = min(bound, round(max(pixels.shape[1] / height, pixels.shape[2] / width)))
    if k < 2:
        return None
    return np.asarray(convert_for_model(model, fit(pixels, (k * height, k * width))[None], path.name)[0][0])
