"""Images of evidence maps: the image, its map, and the map's outline on the image."""

import io

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bayescope.types import Floats

COLOURS = "RdBu_r"
_SMOOTHING = 1 / 28
_FOR, _AGAINST = "#b2182b", "#2166ac"


def overlay(picture: NDArray[np.uint8], evidence: Floats, title: str, unit: str = "nats") -> bytes:
    """PNG of ``picture (h, w[, 3])`` and its evidence ``(h, w)`` in ``unit``: image, map and outline side by side.

    Colours diverge from zero: red speaks for the class, blue against.  The outline is drawn at half of the extreme of the map,
    smoothed over a 28th of the image.
    """
    figure = Figure(figsize=(10.5, 3.9), layout="constrained", dpi=120)
    plain, map_axes, outlined = figure.subplots(1, 3)
    for axes, name in ((plain, "image"), (map_axes, "evidence"), (outlined, "outline: half of the extreme, smoothed")):
        axes.set_title(name, fontsize=9)
        axes.set_axis_off()
    _show(plain, picture)
    reach = _reach(evidence)
    drawn = map_axes.imshow(evidence, cmap=COLOURS, norm=TwoSlopeNorm(0.0, -reach, reach), interpolation="nearest")
    bar = figure.colorbar(drawn, ax=map_axes, shrink=0.8)
    bar.set_label(f"{unit} per pixel: red for, blue against", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    _show(outlined, picture)
    smooth = smoothed(evidence)
    extreme = np.abs(smooth).max()
    if extreme > 0:
        outlined.contour(
            smooth, levels=[-extreme / 2, extreme / 2], colors=[_AGAINST, _FOR], linestyles="solid", linewidths=1.4
        )
    figure.suptitle(title, fontsize=10)
    return _png(figure)


def smoothed(evidence: Floats) -> Floats:
    """Evidence ``(h, w)`` averaged over a 28th of the image, so that places stand out and not single pixels."""
    return np.asarray(gaussian_filter(evidence, max(1.0, _SMOOTHING * max(evidence.shape))))


def scales(maps: dict[str, Floats], title: str, unit: str = "nats") -> bytes:
    """PNG of named evidence ``maps (h, w)`` in ``unit``, side by side in the same colours."""
    figure = Figure(figsize=(3.4 * len(maps) + 1, 3.7), layout="constrained", dpi=120)
    panels = figure.subplots(1, len(maps), squeeze=False)[0]
    reach = max(map(_reach, maps.values()))
    for axes, (name, evidence) in zip(panels, maps.items(), strict=True):
        drawn = axes.imshow(evidence, cmap=COLOURS, norm=TwoSlopeNorm(0.0, -reach, reach), interpolation="nearest")
        axes.set_title(f"{name}: {evidence.sum():+.2f} {unit}", fontsize=9)
        axes.set_axis_off()
    bar = figure.colorbar(drawn, ax=panels, shrink=0.8)
    bar.set_label(f"{unit} per pixel: red for, blue against", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    figure.suptitle(title, fontsize=10)
    return _png(figure)


def comparison(pictures: dict[str, NDArray[np.uint8]], change: Floats, title: str) -> bytes:
    """PNG of named ``pictures (h, w[, 3])`` and the ``change (h, w)`` between them in model units, side by side."""
    figure = Figure(figsize=(3.2 * (len(pictures) + 1) + 0.6, 3.7), layout="constrained", dpi=120)
    *shown, last = figure.subplots(1, len(pictures) + 1)
    for axes, (name, picture) in zip(shown, pictures.items(), strict=True):
        _show(axes, picture)
        axes.set_title(name, fontsize=9)
        axes.set_axis_off()
    reach = _reach(change)
    drawn = last.imshow(change, cmap=COLOURS, norm=TwoSlopeNorm(0.0, -reach, reach), interpolation="nearest")
    last.set_title("change", fontsize=9)
    last.set_axis_off()
    bar = figure.colorbar(drawn, ax=last, shrink=0.8)
    bar.set_label("red brighter, blue darker; the image spans 2", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    figure.suptitle(title, fontsize=10)
    return _png(figure)


def tinted(picture: NDArray[np.uint8], evidence: Floats) -> NDArray[np.uint8]:
    """``picture (h, w[, 3])`` tinted by its evidence ``(h, w)``: red for, blue against, ``(h, w, 3)``."""
    reach = _reach(evidence)
    share = np.clip(evidence / reach, -1, 1)
    colour = colormaps[COLOURS]((share + 1) / 2)[:, :, :3] * 255
    weight = 0.75 * np.abs(share)[:, :, None] ** 0.5
    plain = np.broadcast_to(picture[..., None] if picture.ndim == 2 else picture, colour.shape)
    return np.asarray(((1 - weight) * plain + weight * colour).round().astype(np.uint8))


def _reach(evidence: Floats) -> float:
    """Where the colours end: the 99.5 % quantile of the size, so that a single pixel does not bleach the rest."""
    size = np.abs(evidence)
    return float(np.quantile(size, 0.995) or size.max() or 1.0)


def _show(axes: Axes, picture: NDArray[np.uint8]) -> None:
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")


def _png(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
