"""A comparison as one self-contained HTML page, and as a Markdown table."""

import math

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from bayescope import __version__
from bayescope.evaluation.compare.summary import Comparison, Row
from bayescope.evaluation.report.figures import PALETTE, new_axes, to_svg
from bayescope.metrics.bootstrap import Estimate


def columns(comparison: Comparison) -> tuple[str, ...]:
    """Heads of the table; the sensitivity names its class."""
    _, *others = comparison.rows[0].scores.measures
    costs = ("training, s", "images per s", "passes per image")
    return ("method", "training images", "AUC", "spread over seeds", *others, "AUC of Bayescope minus this", *costs)


def render(comparison: Comparison) -> str:
    """The page's HTML text."""
    environment = Environment(
        loader=PackageLoader("bayescope.evaluation.compare", "."), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["interval"] = interval
    return environment.get_template("page.html.j2").render(
        c=comparison,
        version=__version__,
        columns=columns(comparison),
        cells=cells,
        summary=conclusions(comparison),
        curve=learning_curve(comparison) if len(comparison.fractions) > 1 else "",
        difference_figure=difference_figure(comparison),
        protocol=protocol(comparison),
    )


def markdown(comparison: Comparison) -> str:
    """The same table for a README, and what it is based on."""
    lines = [f"## {comparison.source}: Bayescope and discriminative networks", "", *conclusions(comparison), ""]
    lines += ["| " + " | ".join(columns(comparison)) + " |", "|" + " --- |" * len(columns(comparison))]
    lines += ["| " + " | ".join(cells(row)) + " |" for row in comparison.rows]
    return "\n".join([*lines, "", *(f"- {line}" for line in protocol(comparison))]) + "\n"


def cells(row: Row) -> tuple[str, ...]:
    """A row as text, in the order of :func:`columns`."""
    measured = [interval(estimate) for estimate in row.scores.measures.values()]
    deviation = row.scores.seed_deviation
    return (
        row.method,
        f"{row.train_images} ({100 * row.fraction:g} %)",
        measured[0],
        "–" if math.isnan(deviation) else f"{deviation:.3f}",
        *measured[1:],
        interval(row.scores.differences["AUC"], signed=True) if row.scores.differences else "–",
        f"{row.train_seconds:.0f}",
        f"{row.images_per_second:.0f}" if row.images_per_second >= 100 else f"{row.images_per_second:.2g}",
        f"{row.passes:.1f}",
    )


def interval(estimate: Estimate, signed: bool = False) -> str:
    """Value and interval; a dash for an interval that cannot be estimated."""
    number = "{:+.3f}" if signed else "{:.3f}"
    if math.isnan(estimate.low):
        return number.format(estimate.value) + " (–)"
    return f"{number.format(estimate.value)} ({number.format(estimate.low)} to {number.format(estimate.high)})"


def conclusions(comparison: Comparison) -> list[str]:
    """For each share of the training images, where Bayescope's AUC is higher, lower, or not significantly different."""
    lines = []
    for fraction in comparison.fractions:
        found: dict[str, list[str]] = {"above": [], "below": [], "not distinguishable from": []}
        for row in comparison.rows:
            if row.fraction == fraction and row.scores.differences:
                difference = row.scores.differences["AUC"]
                where = "above" if difference.low > 0 else "below" if difference.high < 0 else "not distinguishable from"
                found[where].append(row.method)
        described = "; ".join(f"{where} {', '.join(names)}" for where, names in found.items() if names)
        lines.append(f"With {100 * fraction:g} % of the training images, Bayescope's AUC is {described or 'measured alone'}.")
    return lines


def protocol(comparison: Comparison) -> list[str]:
    """What all methods were given, and how the numbers came about."""
    c = comparison
    unit = "images" if c.test_patients is None else f"{c.test_patients} patients"
    seeds = ", ".join(map(str, c.seeds))
    return [
        f"Same splits for all: {c.test_images} test {c.unit} and {c.val_images} validation images, the latter whole at "
        f"every share of the training images; classes {', '.join(c.class_names)}. Seeds {seeds}: of weights, draws and shares.",
        f"Same augmentation and budget: at most {c.steps} steps of {c.batch_size} images. Networks start from random weights, "
        "weight classes by their frequency, and stop early by the validation AUC. Bayescope draws classes evenly.",
        "Images of fewer than 64 pixels a side are enlarged to 64 for DenseNet-121 and EfficientNet-B0; ResNets keep their "
        "size and have a 3x3 stem of stride 2 without pooling there. ViT-Tiny (12 layers of 192) cuts patches of 4, 8 or 16 "
        "pixels.",
        f"Values are means over seeds. Intervals: 95 %, over {unit}, of that mean. AUC and its difference: DeLong; others: "
        "bootstrap. The spread over seeds, a standard deviation, is given separately. No correction for several comparisons.",
        f"Measured on {c.device}. Training includes fitting to the validation images.",
        *c.warnings,
    ]


def learning_curve(comparison: Comparison) -> str:
    """AUC over the number of training images, with intervals, as SVG."""
    figure, axes = new_axes("Training images", "AUC")
    figure.set_size_inches(7.2, 4.2)
    methods = list(dict.fromkeys(row.method for row in comparison.rows))
    for i, method in enumerate(methods):
        rows = sorted((row for row in comparison.rows if row.method == method), key=lambda row: row.train_images)
        images = np.array([row.train_images for row in rows]) * 1.015 ** (i - (len(methods) - 1) / 2)
        estimates = [row.scores.measures["AUC"] for row in rows]
        value = np.array([estimate.value for estimate in estimates])
        reach = np.abs(np.nan_to_num([[e.low, e.high] for e in estimates], nan=0.0).T - value)
        reach[:, [math.isnan(estimate.low) for estimate in estimates]] = 0
        colour = PALETTE[i % len(PALETTE)]
        axes.errorbar(images, value, reach, fmt="o-", color=colour, markersize=4, linewidth=2 if i == 0 else 1.2, label=method)
    axes.set_xscale("log")
    ticks = sorted({row.train_images for row in comparison.rows})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=8)
    return to_svg(figure)


def difference_figure(comparison: Comparison) -> str:
    """Bayescope's AUC minus that of each network at the largest share, as SVG; empty without networks."""
    rows = [row for row in comparison.rows if row.fraction == comparison.fractions[0] and row.scores.differences]
    if not rows:
        return ""
    figure, axes = new_axes("AUC of Bayescope minus this", "")
    figure.set_size_inches(7.2, 0.9 + 0.45 * len(rows))
    axes.axvline(0, color=PALETTE[5], linewidth=1)
    for place, row in enumerate(reversed(rows)):
        difference = row.scores.differences["AUC"]
        reach = [[difference.value - difference.low], [difference.high - difference.value]]
        axes.errorbar([difference.value], [place], xerr=reach, fmt="o", color=PALETTE[0], markersize=5, capsize=3)
    axes.set_yticks(range(len(rows)), [row.method for row in reversed(rows)])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    return to_svg(figure)
