"""Samples of each class."""

from bayescope.evaluation.evaluate import Evaluation
from bayescope.evaluation.report.context import Context
from bayescope.evaluation.report.figures import picture
from bayescope.evaluation.report.html import fragment

_SIDE = 96
_TEMPLATE = """
<section><h2>Samples of each class</h2>
<p class="soft">Images drawn from p(x | class). The pictures of a column start from the same noise: what differs between rows is
what the class changes.</p>
{% for name, row in samples %}<div class="strip"><b>{{ name }}</b>
{%- for image in row %}<img src="{{ image }}" alt="sample of {{ name }}">{% endfor %}</div>{% endfor %}
</section>
"""


def section(found: Evaluation, context: Context) -> str:
    """One row of pictures for each class."""
    rows = [[picture(image, _SIDE) for image in row] for row in context.samples]
    return fragment(_TEMPLATE, samples=list(zip(found.model.class_names, rows, strict=True)))
