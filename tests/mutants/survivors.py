"""The list of mutants that no test noticed, and why each may live."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
STATES = ("killed", "timeout", "survived", "no tests")

Summary = dict[str, dict[str, Any]]
"""By module: the number of mutants, of those run, of each of ``STATES``, and what is changed by those ``alive``."""


def read_summary(path: Path = FOLDER / "summary.json") -> Summary:
    """What was written by the last runs."""
    return dict(json.loads(path.read_text()))


def read_reasons() -> list[dict[str, str]]:
    """Entries of ``module``, ``function``, ``old``, ``new`` (any, where left out) and ``reason``."""
    return list(tomllib.loads((FOLDER / "reasons.toml").read_text()).get("mutant", []))


def reason_of(module: str, mutant: Mapping[str, str], reasons: list[dict[str, str]]) -> str:
    """Why it may live; blank if that is not stated."""
    about = {"module": module, **mutant}
    for entry in reasons:
        if all(about[key] == value for key, value in entry.items() if key != "reason"):
            return entry["reason"]
    return ""


def render(summary: Summary, reasons: list[dict[str, str]]) -> int:
    """Write ``survivors.md``; 1 if a survivor has no reason."""
    before = read_summary(FOLDER / "before.json")
    lines = ["# Mutants", "", "Written by `make mutants`.", "", *_table(summary, before), ""]
    unexplained = 0
    for module, row in sorted(summary.items()):
        lines += [f"## {module}", ""] if row["alive"] else []
        for mutant in row["alive"]:
            reason = reason_of(module, mutant, reasons)
            lines.append(f"- {mutant['function']}: `{mutant['old']}` → `{mutant['new']}`: {reason or '**no reason stated**'}")
            if not reason:
                unexplained += 1
                print(f"{module} {mutant['function']}\n  - {mutant['old']}\n  + {mutant['new']}")
        lines += [""] if row["alive"] else []
    (FOLDER / "survivors.md").write_text("\n".join(lines))
    run, alive = sum(row["run"] for row in summary.values()), sum(len(row["alive"]) for row in summary.values())
    print(f"{run} mutants run, {alive} survived, {unexplained} of them without a reason")
    return int(bool(unexplained))


def _table(summary: Summary, before: Summary) -> list[str]:
    """Counts by module, beside how many were noticed before tests were written against the survivors."""
    rows = [[module, *_counts(row), _noticed(before.get(module))] for module, row in sorted(summary.items())]
    total = {key: sum(row[key] for row in summary.values()) for key in ("mutants", "run", *STATES)}
    whole = {key: sum(row[key] for name, row in before.items() if name in summary) for key in ("run", "killed", "timeout")}
    head = ["module", "mutants", "run", *STATES, "noticed before"]
    return _rows(head, [*rows, ["all", *_counts(total), _noticed(whole)]])


def _counts(row: Mapping[str, Any]) -> list[object]:
    return [row[key] for key in ("mutants", "run", *STATES)]


def _noticed(row: Mapping[str, Any] | None) -> str:
    return "–" if row is None else f"{row['killed'] + row['timeout']} of {row['run']}"


def _rows(head: Iterable[object], rows: Iterable[Iterable[object]]) -> list[str]:
    head = list(head)
    return ["| " + " | ".join(map(str, row)) + " |" for row in (head, ["---"] * len(head), *rows)]
