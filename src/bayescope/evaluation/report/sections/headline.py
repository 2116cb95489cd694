"""The most important measures, as cards."""

from bayescope.evaluation.evaluate import Evaluation
from bayescope.evaluation.report.context import Context
from bayescope.evaluation.report.html import fragment

_MEASURES = ("AUC", "accuracy", "balanced accuracy", "log loss")
_OF_POSITIVE = ("sensitivity", "specificity")
_TEMPLATE = """
<div class="cards">
{% for name, estimate, others in cards %}
<div class="card"><span>{{ name }}</span><b>{{ estimate.value | fixed }}</b><span>95 % interval {{ estimate | interval }}
{%- for other, value in others.items() %}<br>{{ other }} {{ value | fixed }}{% endfor %}</span></div>
{% endfor %}
</div>
"""


def section(found: Evaluation, context: Context) -> str:
    """The headline measures of all classes, and those of the positive class if one was named."""
    references = context.reference_measures.items()
    cards = [(name, found.measures[name], {other: rows[name].value for other, rows in references}) for name in _MEASURES]
    if found.positive is not None:
        rows = found.by_class[found.positive]
        cards += [(f"{name}, {found.positive}", rows[name], {}) for name in _OF_POSITIVE]
    return fragment(_TEMPLATE, cards=cards)
