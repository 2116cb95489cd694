"""The data, the configuration and the version of the run, for reproduction."""

from collections.abc import Iterator, Mapping
from typing import Any

from bayescope import __version__
from bayescope.evaluation.evaluate import Evaluation
from bayescope.evaluation.report.context import Context
from bayescope.evaluation.report.html import fragment

_TEMPLATE = """
<section><details><summary>Configuration and data</summary>
<p>Data: {{ data.source }}. SHA-256 <code>{{ fingerprint }}</code>{% for note in data.notes %}<br>{{ note }}{% endfor %}
{%- if trained_on %}<br>Trained on {{ trained_on }}{% endif %}<br>Bayescope {{ version }}</p>
<table>{% for key, value in settings %}<tr><td>{{ key }}</td><td>{{ value }}</td></tr>{% endfor %}</table></details></section>
"""


def section(found: Evaluation, context: Context) -> str:
    """Folded until it is opened."""
    return fragment(
        _TEMPLATE,
        data=context.chosen.data,
        fingerprint=found.images.fingerprint(),
        trained_on=context.trained_on,
        version=__version__,
        settings=list(_flat(found.model.config.model_dump())),
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
