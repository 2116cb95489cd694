"""The losses during training."""

from markupsafe import Markup
from matplotlib.figure import Figure

from bayescope.evaluation.evaluate import Evaluation
from bayescope.evaluation.report.context import Context
from bayescope.evaluation.report.figures import PALETTE, style, to_svg
from bayescope.evaluation.report.html import fragment

_LOSSES = {"denoising_loss": "Denoising, relative to linear", "evidence_loss": "Evidence, nats"}
_TEMPLATE = '<section><h2>Training</h2><div class="wide">{{ curve }}</div></section>'


def section(found: Evaluation, context: Context) -> str | None:
    """The losses of batches and of validation images over steps; None if nothing was recorded."""
    return fragment(_TEMPLATE, curve=training_curve(context)) if len(context.curve) >= 2 else None


def training_curve(context: Context) -> Markup:
    """The figure."""
    figure = Figure(figsize=(8.4, 3.0), layout="constrained")
    for axes, (loss, label) in zip(figure.subplots(1, 2), _LOSSES.items(), strict=True):
        for prefix, name, colour in (("", "training batch", PALETTE[5]), ("val_", "validation", PALETTE[1])):
            rows = [(row["step"], row[prefix + loss]) for row in context.curve if row.get(prefix + loss) is not None]
            if rows:
                axes.plot(*zip(*rows, strict=True), color=colour, linewidth=1.5, label=name)
        style(axes, "Step", label)
        axes.legend(frameon=False, fontsize=8)
    return to_svg(figure)
