"""Title, images, prevalence, and the most important warnings."""

from bayescope.evaluation.evaluate import Evaluation, rests_on
from bayescope.evaluation.report.context import Context
from bayescope.evaluation.report.html import fragment

_SPLITS = {"train": "training", "val": "validation", "all": "unseen"}
_TEMPLATE = """
<header>
<h1>{{ title }}</h1>
<p>{{ n }} {{ split }} images of {{ source }}: {{ counts }}.
{{ passes }} network passes per image. For research; not a medical device.</p>
{% if rests_on %}<p>Likelihood ratios were calibrated on validation images: {{ rests_on }}.</p>{% endif %}
<p>Probabilities at prevalence {{ prevalence | shares }}.</p>
{% for warning in warnings %}<p class="warning"><b>{{ warning }}</b></p>{% endfor %}
</header>
"""


def section(found: Evaluation, context: Context) -> str:
    """What was evaluated on which images, and what to know before trusting the numbers."""
    chosen = context.chosen
    return fragment(
        _TEMPLATE,
        title=context.title,
        n=len(found.images),
        split=_SPLITS.get(chosen.name, chosen.name),
        source=chosen.data.source,
        counts=", ".join(f"{n} {name}" for name, n in found.class_counts.items()),
        passes=f"{found.predictions.mean_passes:.3g}",
        rests_on=rests_on(found.calibration_images) if found.calibrated else "",
        prevalence=found.prevalence,
        warnings=[*chosen.warnings, *found.calibration_warnings],
    )
