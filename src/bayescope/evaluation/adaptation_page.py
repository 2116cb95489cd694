"""The page on an adapted run: every measure before and after, and both reliability diagrams."""

from bayescope.evaluation.report.html import fragment, page
from bayescope.evaluation.report.sections.discrimination import evidence, reliability
from bayescope.evaluation.result import Evaluation
from bayescope.evaluation.selection import ChosenImages
from bayescope.metrics.bootstrap import Estimate

_TEMPLATE = """
<header><h1>Adapting to {{ chosen.data.source }} {{ verdict }}</h1>
<p>{{ n }} local images{% if patients %} of {{ patients }} patients{% endif %}: {{ counts | shares }}. After: five folds by
patient, each measured with a calibration fitted on the other four; the adapted run is fitted on all.</p>
{% for warning in chosen.warnings %}<p class="warning">{{ warning }}</p>{% endfor %}
</header>
<div class="cards">
<div class="card"><b>{{ "%+.3f" | format(difference.value) }}</b><span>log loss at the class frequencies of
these images, after minus before, nats an image ({{ difference | interval }}); negative is better</span></div>
{% for name, rows in before.trust.items() %}<div class="card"><b>{{ rows["calibration loss"].measured.value | fixed }} →
{{ after.trust[name]["calibration loss"].measured.value | fixed }}</b><span>calibration loss, {{ name }} against the rest, bits
(after: {{ after.trust[name]["calibration loss"].measured | interval }})</span></div>{% endfor %}
</div>
<section><h2>Measures</h2>
<table><tr><th>Measure</th><th>Before (95 % interval)</th><th>After (95 % interval)</th></tr>
{% for name, m in before.measures.items() %}<tr><td>{{ name }}</td><td>{{ m.value | fixed }} ({{ m | interval }})</td>
<td>{{ after.measures[name].value | fixed }} ({{ after.measures[name] | interval }})</td></tr>{% endfor %}
{% for class, rows in before.trust.items() %}{% for name, row in rows.items() %}<tr><td>{{ name }}, {{ class }}</td>
{% set m = after.trust[class][name].measured %}
<td>{{ row.measured.value | fixed }} ({{ row.measured | interval }})</td>
<td>{{ m.value | fixed }} ({{ m | interval }})</td></tr>
{% endfor %}{% endfor %}
</table>
<p class="soft">Calibration measures at the class frequencies of these images. On few images intervals are wide: what they leave
open stays open.</p></section>
<section><h2>Reliability</h2><div class="pair">
<figure><figcaption>Before</figcaption>{{ figures[0] }}</figure>
<figure><figcaption>After, on folds</figcaption>{{ figures[1] }}</figure>
</div></section>
<section><h2>Evidence for {{ last }} against the rest</h2><div class="pair">
<figure><figcaption>Before</figcaption>{{ figures[2] }}</figure>
<figure><figcaption>After, on folds</figcaption>{{ figures[3] }}</figure>
</div></section>
"""


def adaptation_page(before: Evaluation, after: Evaluation, difference: Estimate, verdict: str, chosen: ChosenImages) -> str:
    """One self-contained HTML page; ``difference`` of the log loss, and the ``verdict`` on it in words."""
    groups, last = before.images.groups, len(before.images.class_names) - 1
    body = fragment(
        _TEMPLATE,
        before=before,
        after=after,
        difference=difference,
        verdict=verdict,
        chosen=chosen,
        n=len(before.images),
        patients=None if groups is None else len(set(groups)),
        counts=before.class_counts,
        last=before.images.class_names[last],
        figures=[reliability(before), reliability(after), evidence(before, last), evidence(after, last)],
    )
    return page("page.html.j2", title=f"Adapting to {chosen.data.source}", sections=[body])
