"""Galleries of selected images: most certain, most certain errors, suspicious to a trust test, least certain."""

from typing import Any

from bayescope.evaluation.evaluate import Evaluation
from bayescope.evaluation.report.context import Context
from bayescope.evaluation.report.figures import picture
from bayescope.evaluation.report.html import fragment
from bayescope.evaluation.report.overlay import tinted
from bayescope.inference.trust_tests import TRUST_TESTS

_EXPLANATION = """
<section><h2>Where the evidence lies</h2>
<p class="soft">Next to each image below: its share of the log-likelihood ratio, red for the class called, blue against, colours
scaled within each image; then the image as the next class would have it, noised to σ = 1 and denoised under that label, and
what that changes, red brighter, blue darker, without what noising changes by itself. The images below are scored in full: the
shares add up to the ratio printed.</p></section>
"""
_GALLERY = """
<section><h2>{{ title }}</h2>{% if not cases %}<p>{{ otherwise }}</p>{% else %}
<div class="cases{{ ' mapped' if mapped }}">{% for case in cases %}
<div class="case"><div class="duo"><img src="{{ case.picture }}" alt="{{ case.name }}">
{%- if mapped and case.map %}<img src="{{ case.map }}" alt="evidence in {{ case.name }}">
<img src="{{ case.counterfactual }}" alt="{{ case.name }} as {{ case.other }}">
<img src="{{ case.change }}" alt="change of {{ case.name }} to {{ case.other }}">{% endif %}</div>
<b class="{{ '' if case.right else 'wrong' }}">{{ case.called }} {{ (100 * case.probability) | fixed(1) }} %</b><br>
truly {{ case.truth }}<br>LLR {{ "%+.2f" | format(case.ratio) }} ± {{ case.error | fixed(2) }} nats
{%- if case.set %}<br>set: {{ case.set }}{% endif %}
{%- for caption in case.captions %}<br>{{ caption }}{% endfor %}
<br><small>{{ case.name }}</small></div>
{%- endfor %}</div>{% endif %}</section>
"""


def explanation(found: Evaluation, context: Context) -> str | None:
    """What the maps in the galleries show; None if no image was explained."""
    return fragment(_EXPLANATION) if context.explained else None


def surest(found: Evaluation, context: Context) -> str:
    """Images correctly classified with the highest probabilities."""
    cases = [case for case in _cases(found, context, context.cases.surest) if case["right"]]
    return _gallery("Surest", cases, bool(context.explained), "No image was classified correctly.")


def mistaken(found: Evaluation, context: Context) -> str:
    """Images wrongly classified with the highest probabilities."""
    cases = [case for case in _cases(found, context, context.cases.mistaken) if not case["right"]]
    return _gallery("Surest mistakes", cases, bool(context.explained), "No image was misclassified.")


def suspicious(found: Evaluation, context: Context) -> str:
    """Images suspicious to the trust tests, a gallery for each."""
    galleries, chosen = [], context.cases.suspicious
    for name, test in TRUST_TESTS.items():
        otherwise = test.wording.none_suspicious if name in chosen else "Not tested."
        cases = _cases(found, context, chosen.get(name, []))
        galleries.append(_gallery(test.wording.gallery, cases, bool(context.explained), otherwise))
    return "".join(galleries)


def unsure(found: Evaluation, context: Context) -> str:
    """Images whose most probable class has the lowest probabilities."""
    return _gallery("Least sure", _cases(found, context, context.cases.unsure), mapped=False)


def _gallery(title: str, cases: list[dict[str, Any]], mapped: bool, otherwise: str = "") -> str:
    return fragment(_GALLERY, title=title, cases=cases, mapped=mapped, otherwise=otherwise)


def _cases(found: Evaluation, context: Context, indices: list[int]) -> list[dict[str, Any]]:
    return [_case(found, context, i) for i in indices]


def _case(found: Evaluation, context: Context, i: int) -> dict[str, Any]:
    """What is shown of image ``i``: as scored in full if it was explained, or else as evaluated."""
    names, predictions, shown = found.model.class_names, found.predictions, context.pictures[i]
    called, label = int(predictions.posterior[i].argmax()), found.images.labels[i]
    case = {
        "picture": picture(shown),
        "map": "",
        "set": context.sets[i] if context.sets else "",
        "captions": [finding.caption for finding in predictions.findings(i).values()],
        "name": found.images.names[i],
        "truth": names[label],
        "called": names[called],
        "right": called == label,
        "probability": predictions.posterior[i, called],
        "ratio": predictions.log_likelihood_ratio[i, called],
        "error": predictions.standard_error[i, called],
    }
    explained = context.explained.get(i)
    if explained is None:
        return case
    return case | {
        "map": picture(tinted(shown, explained.evidence)),
        "other": names[explained.other],
        "counterfactual": picture(explained.counterfactual),
        "change": picture(tinted(shown, explained.change)),
        "set": explained.decided,
        "called": names[explained.winner],
        "right": explained.winner == label,
        "probability": explained.probability,
        "ratio": explained.log_likelihood_ratio,
        "error": explained.standard_error,
    }
