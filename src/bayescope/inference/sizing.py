"""Images of another size than a model's: whether they may be resized, and warnings about those that were."""

from bayescope.errors import RunError
from bayescope.inference.model import LikelihoodModel
from bayescope.types import Pixels


def check_sizing(model: LikelihoodModel, resize: bool) -> None:
    """Raise RunError if images are to be resized for a model that does not record how its training images were."""
    if resize and model.preparation is None and model.sizing is None:
        height, width = model.image_shape[1:]
        raise RunError(
            f"--resize: the run does not record how its training images were brought to {height}x{width} pixels; expected a "
            f"run that does. Resize the images to {height}x{width} first, or train again"
        )


def resize_remarks(model: LikelihoodModel, pixels: Pixels) -> list[str]:
    """Warnings about an image ``(channel, height, width)`` that :func:`~bayescope.data.formats.resize.fit` resizes."""
    (height, width), (rows, columns) = pixels.shape[1:], model.image_shape[1:]
    scale = min(rows / height, columns / width)
    remarks = []
    if (round(height * scale), round(width * scale)) != (rows, columns) and model.sizing == "unchanged":
        remarks.append(
            f"of another aspect ratio than {rows}x{columns}: padded with zeros, as no training image was. Its "
            "prediction may mislead"
        )
    if scale > 1:
        remarks.append(f"enlarged to {rows}x{columns}: it may show less detail than the training images")
    return remarks


def resize_remedy(model: LikelihoodModel) -> str:
    """The remedy for images of another size than the model's."""
    height, width = model.image_shape[1:]
    if model.sizing is None:
        return f"Resize them to {height}x{width} first, or train the model with --size, which brings all images to one size"
    how = "its training images were" if model.sizing == "fitted" else "`bayescope train --size` does"
    return f"Give --resize to bring them to {height}x{width} as {how}, or train the model on images of this size"
