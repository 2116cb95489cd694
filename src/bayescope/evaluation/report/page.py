"""From contents to one HTML page that needs nothing beside it."""

from functools import partial
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from bayescope import __version__
from bayescope.evaluation.report import figures
from bayescope.evaluation.report.contents import ReportContents, choose_cases
from bayescope.evaluation.report.overlay import tinted
from bayescope.metrics.classification import measure


def render(contents: ReportContents) -> str:
    """The page's HTML text."""
    environment = Environment(
        loader=PackageLoader("bayescope.evaluation.report", "."), autoescape=True, undefined=StrictUndefined
    )
    cases = choose_cases(contents.posterior, contents.labels, contents.p_value)
    return environment.get_template("page.html.j2").render(
        c=contents,
        version=__version__,
        references={
            name: measure(posterior, contents.labels, contents.patients) for name, posterior in contents.reference.items()
        },
        counts=[int((contents.labels == k).sum()) for k in range(len(contents.class_names))],
        roc=figures.roc(contents),
        confusion=figures.confusion(contents),
        reliability=figures.reliability(contents),
        evidence=figures.evidence(contents),
        training_curve=figures.training_curve(contents),
        risk_coverage=figures.risk_coverage_curve(contents),
        cases={
            "surest": [case for case in map(partial(_case, contents), cases.surest) if case["right"]],
            "mistaken": [case for case in map(partial(_case, contents), cases.mistaken) if not case["right"]],
            "novel": [_case(contents, i) for i in cases.novel],
            "unsure": [_case(contents, i) for i in cases.unsure],
        },
        slider=_slider(contents),
        samples=[
            (name, [figures.picture(image, 96) for image in row])
            for name, row in zip(contents.class_names, contents.samples, strict=True)
        ],
        settings=list(_flat(contents.configuration)),
    )


def _slider(contents: ReportContents) -> dict[str, Any]:
    """What the page's script needs: each class's ratios, and which images are of it."""
    return {
        "names": list(contents.class_names),
        "first": contents.class_names.index(contents.positive) if contents.positive else 0,
        "ratios": contents.log_likelihood_ratio.T.round(3).tolist(),
        "labels": contents.labels.tolist(),
    }


def _case(contents: ReportContents, i: int) -> dict[str, Any]:
    called = int(contents.posterior[i].argmax())
    explained = contents.explained.get(i)
    probability = contents.posterior[i, called]
    ratio, error = contents.log_likelihood_ratio[i, called], contents.standard_error[i, called]
    if explained:
        called, probability = explained.winner, explained.probability
        ratio, error = explained.log_likelihood_ratio, explained.standard_error
    return {
        "picture": figures.picture(contents.pictures[i]),
        "map": figures.picture(tinted(contents.pictures[i], explained.evidence)) if explained else "",
        "other": contents.class_names[explained.other] if explained else "",
        "counterfactual": figures.picture(explained.counterfactual) if explained else "",
        "change": figures.picture(tinted(contents.pictures[i], explained.change)) if explained else "",
        "set": explained.decided if explained else contents.sets[i] if contents.sets else "",
        "p_value": None if contents.p_value is None else contents.p_value[i],
        "name": contents.names[i],
        "truth": contents.class_names[contents.labels[i]],
        "called": contents.class_names[called],
        "right": called == contents.labels[i],
        "probability": probability,
        "ratio": ratio,
        "error": error,
    }


def _flat(values: dict[str, Any], prefix: str = "") -> Any:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
