"""Bayescope compared with discriminative networks, and the learning curve, from what `bayescope compare --json` printed."""

import math
from typing import Any

from bayescope.evaluation.compare.page import cells, columns, interval, protocol
from bayescope.evaluation.compare.statistics import Scores
from bayescope.evaluation.compare.summary import Comparison, Row
from bayescope.metrics.bootstrap import Estimate
from benchmarks.store import Store
from benchmarks.tables.markdown import DATA_SETS, table

WHERE = {
    "above": "wins (its AUC is higher, the 95 % interval of the paired difference above zero)",
    "below": "loses (the interval below zero)",
    "level": "cannot be distinguished (zero within the interval)",
}


def comparison(content: dict[str, Any]) -> Comparison:
    """The inverse of ``--json``, where what cannot be estimated is null."""
    rows = tuple(Row(**row | {"scores": _scores(row["scores"])}) for row in content["rows"])
    several = {name: tuple(content[name]) for name in ("notes", "class_names", "seeds")}
    return Comparison(**content | several | {"rows": rows})


def _scores(content: dict[str, Any]) -> Scores:
    measures, differences = (
        {
            name: Estimate(*(_number(estimate[end]) for end in ("value", "low", "high")))
            for name, estimate in content[key].items()
        }
        for key in ("measures", "differences")
    )
    return Scores(measures, _number(content["seed_deviation"]), differences)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def conclusions(found: Comparison) -> str:
    """Where the likelihood classifier wins and where not."""
    against: dict[str, dict[str, list[float]]] = {where: {} for where in WHERE}
    for row in sorted(found.rows, key=lambda row: row.fraction):
        if differences := row.scores.differences.get("AUC"):
            where = "above" if differences.low > 0 else "below" if differences.high < 0 else "level"
            against[where].setdefault(row.method, []).append(row.fraction)
    n_pairs = sum(len(shares) for methods in against.values() for shares in methods.values())
    if not n_pairs:
        return "The likelihood classifier was measured alone."
    parts = []
    for where, words in WHERE.items():
        n = sum(map(len, against[where].values()))
        shares = [f"{name} with {_listed([f'{100 * f:g} %' for f in shares])}" for name, shares in against[where].items()]
        parts.append(f"{words} in {n or 'none'}" + (f": against {'; '.join(shares)} of the training images" if shares else ""))
    return f"Of {n_pairs} comparisons, the likelihood classifier {'. It '.join(parts)}."


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def learning_curve(found: Comparison) -> list[str]:
    """AUC of each method at each share of the training images; the best of a column in bold."""
    fractions = sorted(found.fractions)
    methods = list(dict.fromkeys(row.method for row in found.rows))
    auc = {(row.method, row.fraction): row.scores.measures["AUC"] for row in found.rows}
    images = {row.fraction: row.train_images for row in found.rows}
    best = {f: max((auc[m, f].value for m in methods if (m, f) in auc), default=math.nan) for f in fractions}

    def shown(method: str, fraction: float) -> str:
        estimate = auc.get((method, fraction))
        if estimate is None:
            return "–"
        return f"**{interval(estimate)}**" if estimate.value == best[fraction] else interval(estimate)

    header = ("AUC with", *(f"{images[f]} images ({100 * f:g} %)" for f in fractions))
    return table(header, [[method, *(shown(method, f) for f in fractions)] for method in methods])


def _of(name: str, content: dict[str, Any]) -> list[str]:
    found = comparison(content)
    whole = [row for row in found.rows if row.fraction == found.fractions[0]]
    lines = [f"### {DATA_SETS.get(name, name)}", "", conclusions(found), "", *table(columns(found), map(cells, whole))]
    if len(found.fractions) > 1:
        lines += learning_curve(found)
    return [*lines, *(f"- {line}" for line in protocol(found)), ""]


def section() -> list[str]:
    """Every data set compared."""
    lines = [
        "## Compared with discriminative networks",
        "",
        "    bayescope compare DATA --out OUT --config recipes/medmnist/NAME.toml --networks resnet18 --seeds 0 --steps 300 \\",
        "        --fractions 0.1,0.25,0.5,1 --json > compared.json && python -m benchmarks record compare NAME compared.json",
        "",
    ]
    rows = Store("compare").rows()
    for name, content in rows.items():
        lines += _of(name, content)
    return lines if rows else [*lines, "Not measured yet.", ""]
