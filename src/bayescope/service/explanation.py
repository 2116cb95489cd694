"""Explanations and previews of images, for JSON."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bayescope.inference.explain import Explanation
from bayescope.inference.model import LikelihoodModel
from bayescope.types import Pixels

_PREVIEW_SIDE = 96


def array(values: NDArray[Any]) -> dict[str, Any]:
    """Numbers as :class:`bayescope.service.schemas.Array`."""
    little_endian = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    encoded = base64.b64encode(little_endian.tobytes()).decode("ascii")
    return {"dtype": values.dtype.name, "shape": list(values.shape), "base64": encoded}


def preview(model: LikelihoodModel, pixels: Pixels) -> str:
    """A small PNG of an image ``(1, channel, height, width)`` as a ``data:`` URL."""
    image = Image.fromarray(_display(model, model.scale.to_model(pixels)))
    image.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def explanation_record(
    model: LikelihoodModel, found: Explanation, name: str, remarks: tuple[str, ...], detail: Pixels | None = None
) -> dict[str, Any]:
    """An explanation as :class:`bayescope.service.schemas.ExplanationRecord`, but for the fingerprint of the model.

    Parameters
    ----------
    model : LikelihoodModel
        The model.
    found : Explanation
        The explanation.
    name : str
        Of the image.
    remarks : tuple of str
        Warnings of the image.
    detail : ndarray of shape (channel, k * height, k * width), optional
        The image in more detail.

    Returns
    -------
    dict
        Plain numbers and words; arrays by :func:`array`.
    """
    names, evidence = found.class_names, found.evidence_map
    return {
        "record": next(found.predictions.records(model, [name], [remarks])),
        "winner": names[found.winner],
        "against": None if found.against is None else names[found.against],
        "log_likelihood_ratio": float(evidence.log_ratio[0]),
        "is_raw": found.is_raw,
        "title": found.title(),
        "image": array(found.pixels[0]),
        "detail": None if detail is None else array(detail),
        "low": model.scale.low,
        "high": model.scale.high,
        "evidence": array(evidence.total[0]),
        "levels": array(evidence.levels[0].astype(np.float32)),
        "sigmas": model.sigmas.tolist(),
        "constant": float(evidence.constant[0]),
        "counterfactual": _counterfactual(model, found),
    }


def _counterfactual(model: LikelihoodModel, found: Explanation) -> dict[str, Any] | None:
    if found.counterfactual is None:
        return None
    image, reconstruction, change = (
        tensor.float().cpu().numpy()
        for tensor in (found.counterfactual.image, found.counterfactual.reconstruction, found.counterfactual.change)
    )
    return {
        "sigma": found.counterfactual.sigma,
        "other": found.class_names[found.other],
        "image": array(_display(model, image)),
        "reconstruction": array(_display(model, reconstruction)),
        "change": array(change[0].mean(axis=0)),
    }


def _display(model: LikelihoodModel, x: NDArray[np.float32]) -> NDArray[np.uint8]:
    """One image ``(1, channel, height, width)`` in model units, in gray levels of 8 bits ``(height, width[, 3])``."""
    return model.scale.to_display(x)[0]
