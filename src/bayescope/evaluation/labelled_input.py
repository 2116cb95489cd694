"""Labelled images converted for a model: to its classes, size, channels and pixel type."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from bayescope.data.formats.resize import fit
from bayescope.data.labelled import LabelledImages
from bayescope.data.load import load_images
from bayescope.data.preparation.mammogram import Preparation
from bayescope.data.tables.cases import Callback
from bayescope.errors import DataError
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.read import convert_for_model, summarise_remarks
from bayescope.inference.sizing import check_sizing, resize_remedy


def load_for_model(
    model: LikelihoodModel,
    path: Path,
    callback: Callback = lambda done, total: None,
    normalise_labels: bool = False,
    resize: bool = False,
) -> LabelledImages:
    """The labelled images at ``path`` with classes, channels and type of pixels as the model has them.

    No split is drawn, and classes may be absent.  ``resize``: images of another size are brought to the model's.  Raises
    DataError for other classes, another type, size or preparation.
    """
    check_sizing(model, resize)
    data = load_images(path, _size_to_read(model, path, resize), callback, normalise_labels)
    if data.preparation != model.preparation:
        raise DataError(
            f"{path.name}: images prepared differently ({_describe(data.preparation)}) than the model's "
            f"({_describe(model.preparation)}). Give a cache of `bayescope prepare` with the settings of the one trained on"
        )
    data = _of_model_size(model, data, resize)
    numbers, warning = class_numbers(data.images.class_names, model.class_names, path.name)
    pixels, remarks = convert_for_model(model, data.images.pixels, path.name)
    images = replace(data.images, pixels=pixels, labels=np.array(numbers)[data.images.labels], class_names=model.class_names)
    warnings = (*data.warnings, *summarise_remarks(data.images.names, remarks), *filter(None, [warning]))
    return replace(data, images=images, warnings=warnings)


def class_numbers(found: tuple[str, ...], expected: tuple[str, ...], source: str) -> tuple[list[int], str]:
    """For each class ``found`` its number among those ``expected``, and a warning if they were taken by number.

    By name; where one side has bare numbers 0, 1, … instead of names, by these.  Raises DataError if there are other classes.
    """
    if set(found) <= set(expected):
        return [expected.index(name) for name in found], ""
    numbers = [str(k) for k in range(len(expected))]
    if set(found) <= set(numbers):
        order = [int(name) for name in found]
    elif set(expected) == set(numbers) and len(found) == len(expected):
        order = [expected.index(number) for number in numbers]
    else:
        raise DataError(
            f"{source}: classes {', '.join(found)}; the model expects {', '.join(expected)}. {_remedy(found, expected)}"
        )
    pairs = ", ".join(f"{name} as {expected[k]}" for name, k in zip(found, order, strict=True))
    return order, f"{source}: classes without names on one side; taken by number: {pairs}"


def _size_to_read(model: LikelihoodModel, path: Path, resize: bool) -> int | None:
    """The size that files are brought to as they are read; None for those of a model that is not square or of one array."""
    height, width = model.image_shape[1:]
    if not resize or model.preparation is not None:
        return model.config.size
    return height if height == width and path.suffix.lower() != ".npz" else None


def _of_model_size(model: LikelihoodModel, data: LabelledImages, resize: bool) -> LabelledImages:
    """``data`` with images of the model's size, with a warning if they had to be brought to it by ``resize``."""
    size, found = model.image_shape[1:], data.images.image_shape[1:]
    if found != size:
        if not resize or model.preparation is not None:
            raise DataError(
                f"{data.source}: images of {found[0]}x{found[1]} pixels; the model expects {size[0]}x{size[1]}. "
                f"{'Prepare them with --size of that' if model.preparation else resize_remedy(model)}"
            )
        pixels = np.stack([fit(image, size) for image in data.images.pixels])
        data = replace(data, images=replace(data.images, pixels=pixels), sizing="fitted")
    if not resize or model.sizing == "fitted" or data.sizing == "unchanged":
        return data
    warning = (
        f"--resize: any image of another size was brought to {size[0]}x{size[1]} pixels, padded with zeros where its aspect "
        "ratio differs, as no training image was; copies of training images in another size are not recognised"
    )
    return replace(data, warnings=(*data.warnings, warning))


def _describe(preparation: Preparation | None) -> str:
    return "not at all" if preparation is None else ", ".join(f"{k} {v}" for k, v in preparation.to_dict().items())


def _remedy(found: tuple[str, ...], expected: tuple[str, ...]) -> str:
    def plain(names: tuple[str, ...]) -> set[str]:
        return {"".join(name.casefold().split()) for name in names}

    if plain(found) <= plain(expected):
        return "They differ in spelling: rename the classes of the data as the model has them"
    return "Name the classes alike, or give data of the model's classes"
