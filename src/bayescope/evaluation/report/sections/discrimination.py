"""Figures of discrimination: ROC curves, confusion, reliability, risk and coverage, distribution of the evidence."""

from collections.abc import Iterator, Mapping

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from bayescope.calibration.base import post_test_probability
from bayescope.evaluation.evaluate import Evaluation
from bayescope.evaluation.report.context import Context
from bayescope.evaluation.report.figures import GRID, INK, PALETTE, colour, new_axes, short, style, to_svg
from bayescope.evaluation.report.html import fragment
from bayescope.inference.abstention import risk_coverage
from bayescope.metrics.calibration import expected_calibration_error, reliability_curve
from bayescope.metrics.delong import one_vs_rest_auc
from bayescope.types import Floats

_N_BINS = 8
_TEMPLATE = """
<section><h2>How well the classes are separated</h2>
<div class="pair">
{% for caption, svg in figures %}<figure><figcaption>{{ caption }}</figcaption>{{ svg }}</figure>
{% endfor %}
</div></section>
"""


def section(found: Evaluation, context: Context) -> str:
    """All figures, each with its caption."""
    figures = [
        ("ROC curve, class against the rest", roc(found, context)),
        ("Confusion matrix, true and called class", confusion(found)),
        ("Reliability before and after calibration", reliability(found)),
        ("Risk and coverage", risk_coverage_curve(found, context)),
    ]
    names = found.model.class_names
    figures += [(f"Evidence for {names[k]} against the rest", evidence(found, k)) for k in _shown_classes(found)]
    return fragment(_TEMPLATE, figures=figures)


def roc(found: Evaluation, context: Context) -> Markup:
    """ROC curve of each class against the rest, or of the positive class; reference observers dashed."""
    figure, axes = new_axes("False positive rate", "True positive rate")
    axes.plot([0, 1], [0, 1], color=GRID, linewidth=1)
    for k in _shown_classes(found):
        positive = found.images.labels == k
        for name, posterior in _observers(found, context).items():
            area = one_vs_rest_auc(posterior[:, k], positive)
            if not np.isfinite(area):
                continue
            false, true, _ = roc_curve(positive, posterior[:, k])
            label = f"{found.model.class_names[k]}{', ' + name if name else ''}: AUC {area:.3f}"
            axes.plot(false, true, color=colour(k), linestyle="--" if name else "-", linewidth=1.8, label=label)
    axes.set_aspect("equal")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", frameon=False, fontsize=8)
    return to_svg(figure)


def confusion(found: Evaluation) -> Markup:
    """Confusion matrix: counts, shaded by the share of the true class."""
    n_classes = len(found.model.class_names)
    counts = np.array([list(row.values()) for row in found.confusion.values()])
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = new_axes("Called", "True class", grid=False)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*counts.shape):
        ink = "white" if share[row, column] > 0.55 else INK
        text = f"{counts[row, column]}\n{100 * share[row, column]:.0f} %"
        axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=10 if n_classes < 6 else 7)
    names = [short(name) for name in found.model.class_names]
    axes.set_xticks(range(n_classes), names, rotation=0 if n_classes < 4 else 45)
    axes.set_yticks(range(n_classes), names, rotation=90 if n_classes < 4 else 0, va="center")
    axes.tick_params(length=0)
    return to_svg(figure)


def reliability(found: Evaluation) -> Markup:
    """Observed frequency against predicted probability at the images' class frequencies, before and after calibration."""
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    top.plot([0, 1], [0, 1], color=GRID, linewidth=1)
    shown, labels = _shown_classes(found), found.images.labels
    frequency = np.array([(labels == k).mean() for k in shown]).clip(1e-9, 1 - 1e-9)
    positive = (labels[:, None] == shown).ravel()
    images = np.arange(len(labels)).repeat(len(shown)).tolist()
    for name, ratio, ink, line in _versions(found):
        probability = post_test_probability(ratio[:, shown], frequency).ravel()
        curve = reliability_curve(probability, positive, _N_BINS, images)
        error = expected_calibration_error(probability, positive)
        label = f"{name}: ECE {error:.3f}"
        top.plot(curve.predicted, curve.observed, line, color=ink, markersize=4, linewidth=1.5, label=label)
    top.fill_between(curve.predicted, curve.low, curve.high, color=ink, alpha=0.15, linewidth=0)
    bottom.hist(probability, bins=20, range=(0, 1), color=ink, alpha=0.7)
    style(top, "", "Observed")
    of_what = short(found.model.class_names[shown[0]]) if len(shown) == 1 else "each class"
    style(bottom, f"Predicted probability of {of_what}", "Images")
    top.legend(loc="upper left", frameon=False, fontsize=8)
    return to_svg(figure)


def _versions(found: Evaluation) -> Iterator[tuple[str, Floats, str, str]]:
    """Log-likelihood ratios before calibration, if there is one, and as reported, with colour and line style."""
    predictions = found.predictions
    if found.model.calibration.calibrated:
        yield "before calibration", predictions.raw_log_likelihood_ratio, PALETTE[5], "o--"
    yield "reported", predictions.log_likelihood_ratio, PALETTE[0], "o-"


def risk_coverage_curve(found: Evaluation, context: Context) -> Markup:
    """Risk-coverage curve: share of errors among the most confident images; reference observers dashed."""
    figure, axes = new_axes("Share of images answered, surest first", "Share of errors among them")
    for name, posterior in _observers(found, context).items():
        curve = risk_coverage(posterior, found.images.labels)
        label = f"{name + ': ' if name else ''}AURC {curve.area:.4f}"
        axes.plot(curve.coverage, curve.risk, "--" if name else "-", color=PALETTE[0], linewidth=1.8, label=label)
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    return to_svg(figure)


def evidence(found: Evaluation, k: int) -> Markup:
    """Histogram of the log-likelihood ratio of class ``k`` by true class."""
    names = found.model.class_names
    ratio = found.predictions.log_likelihood_ratio[:, k]
    low, high = np.quantile(ratio, [0.005, 0.995])
    reach = max(abs(low), abs(high), 1e-3)
    figure, axes = new_axes(f"log-likelihood ratio for {short(names[k])}, nats", "Images")
    for j, name in enumerate(names):
        values = np.clip(ratio[found.images.labels == j], -reach, reach)
        axes.hist(values, bins=40, range=(-reach, reach), color=colour(j), alpha=0.6, label=f"truly {name}")
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.legend(frameon=False, fontsize=8)
    return to_svg(figure)


def _observers(found: Evaluation, context: Context) -> Mapping[str, Floats]:
    """Posteriors of the model, under a blank name, and of the reference observers."""
    return {"": found.predictions.posterior, **context.reference}


def _shown_classes(found: Evaluation) -> list[int]:
    """The positive class if one was named, or else all."""
    names = found.model.class_names
    return list(range(len(names))) if found.positive is None else [names.index(found.positive)]
