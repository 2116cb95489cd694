"""Reads many image files into one array, all grayscale or all RGB, of one size; warns of mixed bit depths or ranges."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bayescope.data.filesystem.decoded_cache import DecodedImages
from bayescope.data.formats.channels import is_grayscale
from bayescope.data.remarks import Remarks
from bayescope.errors import DataError
from bayescope.types import Pixels

_SHOWN = 5
_MUCH_LESS = 16
"""Images are of another range if they use no more than a sixteenth of it: 12 bits of 16, or 4 of 8."""


def read_images(
    paths: Sequence[Path],
    size: int | None,
    callback: Callable[[int, int], None] = lambda done, total: None,
    warn: Callable[[str], None] = lambda text: None,
) -> Pixels:
    """All images as one array ``(n, channel, height, width)``; 16 bit if any is, an 8-bit image then scaled by 257.

    Grayscale if all images are, however they are saved.  ``warn`` is called about images of different depths or ranges, and of
    grayscale ones among those in colour.  Raises DataError listing the files that cannot be read, or if sizes differ, or files
    of one and of three channels are mixed and some are in colour.
    """
    images, broken, kept = [], [], DecodedImages.opened()
    remarks = Remarks()
    for number, path in enumerate(paths, start=1):
        try:
            images.append(kept.read(path, size, remarks.of(str(path))))
        except DataError as error:
            broken.append(str(error))
        callback(number, len(paths))
    if broken:
        more = f"\n… and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
        raise DataError(
            f"{len(broken)} of {len(paths)} images cannot be read; expected all readable. Correct or remove them:\n"
            + "\n".join(broken[:_SHOWN])
            + more
        )
    images = _of_one_kind(paths, images, warn)
    _check_sizes(paths, images)
    for text in filter(None, (*remarks.lines(), depth_warning(images), range_warning(paths, images))):
        warn(text)
    if any(image.dtype == np.uint16 for image in images):
        images = [image if image.dtype == np.uint16 else image.astype(np.uint16) * np.uint16(257) for image in images]
    return np.stack(images)


def _of_one_kind(paths: Sequence[Path], images: list[Pixels], warn: Callable[[str], None]) -> list[Pixels]:
    """All with one channel if all are grayscale, or else as they are with three."""
    grayscale = [is_grayscale(image) for image in images]
    if all(grayscale):
        return [image[:1] for image in images]
    flat = [i for i, image in enumerate(images) if len(image) == 1]
    coloured = grayscale.index(False)
    if flat:
        raise DataError(
            f"{paths[flat[0]]} has one channel, as {len(flat)} of {len(images)} images have, and {paths[coloured]} is in "
            f"colour, as {grayscale.count(False)} are; expected all grayscale or all RGB. Convert them to one kind"
        )
    if any(grayscale):
        warn(
            f"{grayscale.count(True)} of {len(images)} images are grayscale saved as RGB, such as "
            f"{paths[grayscale.index(True)]}, next to "
            f"{grayscale.count(False)} in colour: a model can take that for a sign"
        )
    return images


def _check_sizes(paths: Sequence[Path], images: Sequence[Pixels]) -> None:
    first = images[0].shape
    for path, image in zip(paths, images, strict=True):
        if image.shape != first:
            raise DataError(
                f"{path} is {image.shape[1]}x{image.shape[2]} and {paths[0]} {first[1]}x{first[2]} pixels; "
                "expected one size. Give --size N to bring all to N by N"
            )


def depth_warning(images: Sequence[Pixels]) -> str:
    """A warning if images of 8 and of 16 bits are mixed; blank if all have one depth."""
    shallow = [image for image in images if image.dtype == np.uint8]
    deep = [image for image in images if image.dtype == np.uint16]
    if not shallow or not deep:
        return ""
    deep_range, scaled = _values(deep), _values(shallow, 257)
    return (
        f"{len(shallow)} images of 8 bits ({_values(shallow)}) next to {len(deep)} of 16 bits ({deep_range}): the former are "
        f"scaled by 257 to {scaled}. If these do not mean the same brightness, a model can take the depth for a sign: save "
        "all in one"
    )


def range_warning(paths: Sequence[Path], images: Sequence[Pixels]) -> str:
    """A warning about images that use far fewer of the bits of their type than others do; blank if there are none."""
    for kind in (np.uint8, np.uint16):
        alike = [i for i, image in enumerate(images) if image.dtype == kind]
        highest = {i: int(images[i].max()) for i in alike}
        top = max(highest.values(), default=0)
        full = 256 if kind == np.uint8 else 1 << top.bit_length()
        low = [i for i in alike if 0 < highest[i] < full // _MUCH_LESS]
        if low and top >= full // 2:
            rest = [i for i in alike if i not in set(low)]
            return (
                f"{len(low)} images have {_values([images[i] for i in low])}, such as {paths[low[0]]}, next to {len(rest)} "
                f"that have {_values([images[i] for i in rest])}: these ranges may not mean the same brightness, and a model "
                "can take that for a sign. Bring all to one range"
            )
    return ""


def _values(images: Sequence[Pixels], factor: int = 1) -> str:
    low, high = (factor * int(value) for value in (min(i.min() for i in images), max(i.max() for i in images)))
    mean = factor * float(np.mean([image.mean() for image in images]))
    return f"values {low} to {high}, {mean:.0f} on average"
