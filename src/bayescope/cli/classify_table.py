"""The table that ``bayescope classify`` prints: a line for each image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from bayescope.cli.output import add_row, format_values, new_table
from bayescope.cli.tables import Column, Table

if TYPE_CHECKING:
    from bayescope.inference.decisions import Decision
    from bayescope.inference.model import LikelihoodModel
    from bayescope.inference.predictions import Predictions
    from bayescope.inference.trust import Finding

_COLUMNS = (
    Column("image", kind="name"),
    Column("class", kind="label"),
    Column("probability", "p, %", right=True),
    Column("LLR ± standard error", "LLR ± SE"),
    Column("set", kind="label"),
)
_PASSES = Column("passes", "n", right=True)
_SEEN = Column("seen in", "seen")


def image_table(names: tuple[str, ...], model: LikelihoodModel, predictions: Predictions, seen: list[str]) -> Table:
    """Class, probability, ratio, prediction set and trust tests of each image; ``seen``: the split it is of, or blank."""
    from bayescope.evaluation.evaluate import rests_on
    from bayescope.inference.trust_tests import TRUST_TESTS

    wordings = [test.wording for test in TRUST_TESTS.values()]
    kind = "calibrated" if model.calibration.calibrated else "UNCALIBRATED"
    prevalence = format_values(model.by_class(predictions.class_prior))
    images = model.by_class(model.calibration.images)
    caption = (
        f"probability, p: of the class, at prevalence {prevalence}; LLR: {kind} log-likelihood ratio of the class against the "
        "rest, nats"
        f"{', resting on validation images: ' + rests_on(images) if model.calibration.calibrated else ''}; "
        f"{_promise(model)}{''.join(wording.explanation + '; ' for wording in wordings)}passes, n: network passes spent"
    )
    of_tests = [Column(wording.column, wording.short_column) for wording in wordings]
    table = new_table(*_COLUMNS, *of_tests, _PASSES, *([_SEEN] if any(seen) else []), caption=caption)
    decided = model.decide(predictions)
    for i, name in enumerate(names):
        k, findings = int(predictions.posterior[i].argmax()), predictions.findings(i)
        ratio, error = predictions.log_likelihood_ratio[i, k], predictions.standard_error[i, k]
        add_row(
            table,
            name,
            model.class_names[k],
            _percent(predictions.posterior[i, k], predictions.posterior_error[i, k]),
            (f"{ratio:+.2f}", f"{ratio:+.2f}")
            if error != error
            else (f"{ratio:+.2f} ± {error:.2f}", f"{ratio:+.2f}±{error:.2f}"),
            "–" if decided is None else (decided.describe(model.class_names, i), _set_in_short(decided, model.class_names, i)),
            *(_finding(findings.get(name)) for name in TRUST_TESTS),
            str(predictions.passes[i]),
            *([seen[i]] if any(seen) else []),
        )
    return table


def _percent(probability: float, error: float) -> tuple[str, str]:
    percent = f"{100 * probability:.1f}"
    return (f"{percent} ± {100 * error:.1f} %" if error == error else f"{percent} %"), percent


def _set_in_short(decided: Decision, class_names: tuple[str, ...], i: int) -> str:
    if decided.answered is not None and not decided.answered[i]:
        return "abstains"
    members = decided.members(class_names, i)
    return members[0] if len(members) == 1 else f"{len(members)} of {len(class_names)}"


def _promise(model: LikelihoodModel) -> str:
    if model.decisions is None:
        return ""
    sets, abstention = model.decisions.sets, model.decisions.abstention
    held = f"set: contains the true class in {100 * (1 - sets.miscoverage):g} % of the images of any class, scored in full; "
    abstained = f"abstained: not sure enough for at most {100 * abstention.risk:g} % errors; "
    return held + ("" if abstention.warning else abstained)


def _finding(finding: Finding | None) -> tuple[str | Text, str | Text]:
    if finding is None:
        return "not tested", "–"
    if finding.warning:
        return Text(finding.cell, "bold red"), Text(finding.short_cell, "bold red")
    return finding.cell, finding.short_cell
