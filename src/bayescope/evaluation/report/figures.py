"""The report's figures, as SVG text or PNG data URIs."""

import base64
import io
import re
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import confusion_matrix, roc_curve

from bayescope.calibration.base import post_test_probability
from bayescope.evaluation.report.contents import ReportContents
from bayescope.inference.abstention import risk_coverage
from bayescope.metrics.calibration import expected_calibration_error, reliability_curve
from bayescope.metrics.classification import one_vs_rest_auc

PALETTE = ("#0b6e99", "#d1495b", "#edae49", "#66a182", "#8d6a9f", "#5c6b73", "#b5651d", "#2e4057", "#9bc53d", "#c3423f")
_INK, _GRID = "#2b2f36", "#dfe3e8"
_N_BINS = 8


def picture(pixels: NDArray[np.uint8], side: int = 128) -> str:
    """An image as a PNG data URI, enlarged in whole pixels to about ``side``."""
    factor = max(1, side // max(pixels.shape[:2]))
    image = Image.fromarray(pixels)
    if factor > 1:
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def roc(contents: ReportContents) -> str:
    """ROC curve of each class against the rest, or of the positive class; reference observers dashed."""
    figure, axes = _axes("False positive rate", "True positive rate")
    axes.plot([0, 1], [0, 1], color=_GRID, linewidth=1)
    for k in _shown_classes(contents):
        positive = contents.labels == k
        for name, posterior in {"": contents.posterior, **contents.reference}.items():
            area = one_vs_rest_auc(posterior[:, k], positive)
            if not np.isfinite(area):
                continue
            false, true, _ = roc_curve(positive, posterior[:, k])
            label = f"{contents.class_names[k]}{', ' + name if name else ''}: AUC {area:.3f}"
            axes.plot(false, true, color=_colour(k), linestyle="--" if name else "-", linewidth=1.8, label=label)
    axes.set_aspect("equal")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", frameon=False, fontsize=8)
    return _svg(figure)


def confusion(contents: ReportContents) -> str:
    """Confusion matrix: counts, shaded by the share of the true class."""
    n_classes = len(contents.class_names)
    counts = confusion_matrix(contents.labels, contents.posterior.argmax(axis=1), labels=range(n_classes))
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = _axes("Called", "True class", grid=False)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*counts.shape):
        ink = "white" if share[row, column] > 0.55 else _INK
        text = f"{counts[row, column]}\n{100 * share[row, column]:.0f} %"
        axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=10 if n_classes < 6 else 7)
    names = [_short(name) for name in contents.class_names]
    axes.set_xticks(range(n_classes), names, rotation=0 if n_classes < 4 else 45)
    axes.set_yticks(range(n_classes), names, rotation=90 if n_classes < 4 else 0, va="center")
    axes.tick_params(length=0)
    return _svg(figure)


def reliability(contents: ReportContents) -> str:
    """Observed frequency against predicted probability at the images' class frequencies, before and after calibration."""
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    top.plot([0, 1], [0, 1], color=_GRID, linewidth=1)
    shown = _shown_classes(contents)
    frequency = np.array([(contents.labels == k).mean() for k in shown]).clip(1e-9, 1 - 1e-9)
    positive = (contents.labels[:, None] == shown).ravel()
    images = np.arange(len(contents.labels)).repeat(len(shown)).tolist()
    versions = (
        ("before calibration", contents.raw_log_likelihood_ratio, PALETTE[5], "o--"),
        ("reported", contents.log_likelihood_ratio, PALETTE[0], "o-"),
    )
    for name, ratio, colour, style in versions:
        if ratio is None:
            continue
        probability = post_test_probability(ratio[:, shown], frequency).ravel()
        curve = reliability_curve(probability, positive, _N_BINS, images)
        error = expected_calibration_error(probability, positive)
        label = f"{name}: ECE {error:.3f}"
        top.plot(curve.predicted, curve.observed, style, color=colour, markersize=4, linewidth=1.5, label=label)
    top.fill_between(curve.predicted, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)
    bottom.hist(probability, bins=20, range=(0, 1), color=colour, alpha=0.7)
    _style(top, "", "Observed")
    of_what = _short(contents.class_names[shown[0]]) if len(shown) == 1 else "each class"
    _style(bottom, f"Predicted probability of {of_what}", "Images")
    top.legend(loc="upper left", frameon=False, fontsize=8)
    return _svg(figure)


def risk_coverage_curve(contents: ReportContents) -> str:
    """Share of errors among the images answered, the surest first; reference observers dashed."""
    figure, axes = _axes("Share of images answered, surest first", "Share of errors among them")
    for name, posterior in {"": contents.posterior, **contents.reference}.items():
        curve = risk_coverage(posterior, contents.labels)
        label = f"{name + ': ' if name else ''}AURC {curve.area:.4f}"
        axes.plot(curve.coverage, curve.risk, "--" if name else "-", color=PALETTE[0], linewidth=1.8, label=label)
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    return _svg(figure)


def evidence(contents: ReportContents) -> list[tuple[str, str]]:
    """For each class shown, the histogram of its log-likelihood ratio by true class: ``(name, SVG)``."""
    figures = []
    for k in _shown_classes(contents):
        ratio = contents.log_likelihood_ratio[:, k]
        low, high = np.quantile(ratio, [0.005, 0.995])
        reach = max(abs(low), abs(high), 1e-3)
        figure, axes = _axes(f"log-likelihood ratio for {_short(contents.class_names[k])}, nats", "Images")
        for j, name in enumerate(contents.class_names):
            values = np.clip(ratio[contents.labels == j], -reach, reach)
            axes.hist(values, bins=40, range=(-reach, reach), color=_colour(j), alpha=0.6, label=f"truly {name}")
        axes.axvline(0, color=_INK, linewidth=0.8)
        axes.legend(frameon=False, fontsize=8)
        figures.append((contents.class_names[k], _svg(figure)))
    return figures


def training_curve(contents: ReportContents) -> str | None:
    """Losses over steps, or None if nothing was recorded."""
    if len(contents.curve) < 2:
        return None
    figure = Figure(figsize=(8.4, 3.0), layout="constrained")
    for axes, what, label in zip(
        figure.subplots(1, 2),
        ("denoising_loss", "evidence_loss"),
        ("Denoising, relative to linear", "Evidence, nats"),
        strict=True,
    ):
        for prefix, name, colour in (("", "training batch", PALETTE[5]), ("val_", "validation", PALETTE[1])):
            rows = [(row["step"], row[prefix + what]) for row in contents.curve if row.get(prefix + what) is not None]
            if rows:
                axes.plot(*zip(*rows, strict=True), color=colour, linewidth=1.5, label=name)
        _style(axes, "Step", label)
        axes.legend(frameon=False, fontsize=8)
    return _svg(figure)


def _shown_classes(contents: ReportContents) -> list[int]:
    """The positive class if one was named, or else all."""
    names = contents.class_names
    return list(range(len(names))) if contents.positive is None else [names.index(contents.positive)]


def _colour(k: int) -> str:
    return PALETTE[k % len(PALETTE)]


def _short(name: str) -> str:
    return name if len(name) <= 20 else name[:19] + "…"


def _axes(x_label: str, y_label: str, grid: bool = True) -> tuple[Figure, Any]:
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axes = figure.subplots()
    _style(axes, x_label, y_label, grid)
    return figure, axes


def _style(axes: Any, x_label: str, y_label: str, grid: bool = True) -> None:
    axes.set_xlabel(x_label, color=_INK, fontsize=9)
    axes.set_ylabel(y_label, color=_INK, fontsize=9)
    axes.tick_params(colors=_INK, labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GRID)
    if grid:
        axes.grid(color=_GRID, linewidth=0.5)
        axes.set_axisbelow(True)


def _svg(figure: Figure) -> str:
    FigureCanvasAgg(figure)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
