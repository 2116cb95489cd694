"""Tables of all measures: overall, of each class against the rest, and of calibration."""

from bayescope.evaluation.evaluate import Evaluation
from bayescope.evaluation.report.context import Context
from bayescope.evaluation.report.html import fragment

_TEMPLATE = """
<section><h2>All measures</h2>
<table><tr><th>Measure</th><th>Value</th><th>95 % interval over {{ unit }} (AUC: DeLong; others: bootstrap)</th>
{%- for name in references %}<th>{{ name }}</th>{% endfor %}</tr>
{% for key, m in found.measures.items() -%}
<tr><td>{{ key }}</td><td>{{ m.value | fixed(4) }}</td><td>{{ m | interval(4) }}</td>
{% for other in references.values() -%}
<td>{% if key in other %}{{ other[key].value | fixed(4) }}{% endif %}</td>
{%- endfor %}</tr>
{%- endfor %}
</table>
<h2 style="margin-top:22px">Each class against the rest</h2>
<table><tr><th>Class</th><th>Images</th>
{%- for key in found.by_class.values() | first %}<th>{{ key }} (95 % interval)</th>{% endfor %}</tr>
{% for name, rows in found.by_class.items() -%}
<tr><td>{{ name }}{{ " (positive)" if name == found.positive }}</td><td>{{ found.class_counts[name] }}</td>
{%- for m in rows.values() %}<td>{{ m.value | fixed }} ({{ m | interval }})</td>{% endfor %}</tr>
{%- endfor %}
</table>
<p class="soft">An image is called its most probable class. PPV and NPV, the predictive values, hold at prevalence
{{ found.prevalence | shares }}.</p>
{% for name, rows in found.trust.items() %}<h2 style="margin-top:22px">Calibration: {{ name }} against the rest</h2>
<table><tr><th>Measure</th><th>Value</th><th>95 % interval</th><th>Expected if perfectly calibrated, on as many images</th></tr>
{% for key, row in rows.items() -%}
{% set m, expected = row.measured, row.expected_if_calibrated -%}
<tr><td>{{ key }}</td><td>{{ m.value | fixed(4) }}</td><td>{{ m | interval(4) }}</td>
<td>{{ expected.value | fixed(4) }} ({{ expected | interval(4) }})</td></tr>
{%- endfor %}
</table>{% endfor %}</section>
"""


def section(found: Evaluation, context: Context) -> str:
    """Every measure with its interval, next to those of reference observers."""
    unit = "images" if found.images.groups is None else "patients"
    return fragment(_TEMPLATE, found=found, unit=unit, references=context.reference_measures)
