"""The style of a report's figures, and figures as SVG or PNG data URIs."""

import base64
import io
import re
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

PALETTE = ("#0b6e99", "#d1495b", "#edae49", "#66a182", "#8d6a9f", "#5c6b73", "#b5651d", "#2e4057", "#9bc53d", "#c3423f")
INK, GRID = "#2b2f36", "#dfe3e8"


def picture(pixels: NDArray[np.uint8], side: int = 128) -> str:
    """An image as a PNG data URI, enlarged in whole pixels to about ``side``."""
    factor = max(1, side // max(pixels.shape[:2]))
    image = Image.fromarray(pixels)
    if factor > 1:
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def colour(k: int) -> str:
    """The colour of class ``k``."""
    return PALETTE[k % len(PALETTE)]


def short(name: str) -> str:
    """A name of at most 20 characters."""
    return name if len(name) <= 20 else name[:19] + "…"


def new_axes(x_label: str, y_label: str, grid: bool = True) -> tuple[Figure, Any]:
    """A figure with one pair of axes."""
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axes = figure.subplots()
    style(axes, x_label, y_label, grid)
    return figure, axes


def style(axes: Any, x_label: str, y_label: str, grid: bool = True) -> None:
    """Label the axes, and give them the look of the report."""
    axes.set_xlabel(x_label, color=INK, fontsize=9)
    axes.set_ylabel(y_label, color=INK, fontsize=9)
    axes.tick_params(colors=INK, labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)
    if grid:
        axes.grid(color=GRID, linewidth=0.5)
        axes.set_axisbelow(True)


def to_svg(figure: Figure) -> Markup:
    """A figure as an SVG element."""
    FigureCanvasAgg(figure)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return Markup(re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL))
