"""Tables of predictions of whole patients, breasts or studies, beside the mean and the product of their images."""

from bayescope.evaluation.evaluate import Evaluation
from bayescope.evaluation.group_evaluation import evaluations_of_groups
from bayescope.evaluation.report.context import Context
from bayescope.evaluation.report.html import fragment

_TEMPLATE = """
<section><h2>Several images of a patient</h2>
{% for groups in evaluations %}{% set pooling = groups.parts[0].pooling -%}
<table><tr><th>By {{ pooling.by }}</th>
<th>{{ "Learned" if pooling.fitted else "Assumed" }} correlation {{ pooling.correlation | fixed(2) }} (95 % interval)</th>
{%- for name in groups.others %}<th>{{ name }}</th>{% endfor %}</tr>
{% for key, m in groups.measures.items() -%}
<tr><td>{{ key }}</td><td>{{ m.value | fixed(4) }} ({{ m | interval(4) }})</td>
{% for other in groups.others.values() %}<td>{{ other[key].value | fixed(4) }}</td>{% endfor %}</tr>
{%- endfor %}
{% for name, rows in groups.trust.items() -%}{% set m = rows["calibration loss"].measured -%}
<tr><td>calibration loss, {{ name }}, bits</td><td>{{ m.value | fixed(4) }} ({{ m | interval(4) }})</td>
{%- for name in groups.others %}<td></td>{% endfor %}</tr>
{%- endfor %}
</table>
<p class="soft">Groups of each class:
{%- for name, n in groups.class_counts.items() %} {{ n }} {{ name }}{{ "," if not loop.last }}{% endfor %}.
Rule: {{ groups.parts[0].rule }}.{% for text in groups.warnings %} Caution: {{ text }}.{% endfor %}</p>
{% endfor %}</section>
"""


def section(found: Evaluation, context: Context) -> str | None:
    """Measures of every way to group the images; None if no two images have a patient, breast or study in common."""
    evaluations = [] if len(found.models) > 1 else evaluations_of_groups(found)
    return fragment(_TEMPLATE, evaluations=evaluations) if evaluations else None
