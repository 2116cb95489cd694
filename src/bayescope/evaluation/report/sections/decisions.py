"""Prediction sets and abstention: guaranteed and measured rates."""

from bayescope.evaluation.evaluate import Evaluation, decision_rows
from bayescope.evaluation.report.context import Context
from bayescope.evaluation.report.html import fragment

_TEMPLATE = """
<section><h2>Abstention and prediction sets</h2>
<p class="soft">Fitted on validation images; the promises hold for images like those, scored in full, at the model's own
prior.</p>
<table><tr><th>Sets and abstention</th><th>Promised</th><th>Measured here</th></tr>
{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>{% endfor %}
</table></section>
"""


def section(found: Evaluation, context: Context) -> str | None:
    """The table of decisions; None for a model without."""
    rows = decision_rows(found.decisions)
    return fragment(_TEMPLATE, rows=rows) if rows else None
