"""The list of mutants that no test noticed, and why each may live."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path

from tests.mutants.mutant import Mutant

FOLDER = Path(__file__).resolve().parent
COLUMNS = ("mutants", "run", "killed", "timeout", "survived", "no tests")


def read_reasons() -> list[dict[str, str]]:
    """Entries of ``module``, ``function``, ``old``, ``new`` (any, where left out) and ``reason``."""
    return list(tomllib.loads((FOLDER / "reasons.toml").read_text()).get("mutant", []))


def reason_of(mutant: Mutant, reasons: list[dict[str, str]]) -> str:
    """Why it may live; blank if that is not stated."""
    for entry in reasons:
        if all(getattr(mutant, key) == value for key, value in entry.items() if key != "reason"):
            return entry["reason"]
    return ""


def render(counts: Mapping[str, Mapping[str, int]], found: Mapping[Mutant, str], reasons: list[dict[str, str]]) -> int:
    """Write ``survivors.md``; 1 if a survivor has no reason."""
    survivors = [mutant for mutant, status in found.items() if status in ("survived", "no tests")]
    unexplained = [mutant for mutant in survivors if not reason_of(mutant, reasons)]
    lines = ["# Mutants", "", "Written by `make mutants`.", "", *_table(counts), ""]
    lines += ["Killed in November 2026, before tests were written against the survivors, and after:", "", *_before(), ""]
    for module in sorted({mutant.module for mutant in survivors}):
        lines += [f"## {module}", ""]
        for mutant in survivors:
            if mutant.module == module:
                reason = reason_of(mutant, reasons) or "**no reason stated**"
                lines.append(f"- {mutant.function}: `{mutant.old}` → `{mutant.new}`: {reason}")
        lines.append("")
    (FOLDER / "survivors.md").write_text("\n".join(lines))
    for mutant in unexplained:
        print(f"{mutant.module} {mutant.function} [{mutant.name}]\n  - {mutant.old}\n  + {mutant.new}")
    print(f"{len(found)} mutants run, {len(survivors)} survived, {len(unexplained)} of them without a reason")
    return int(bool(unexplained))


def _table(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    return _rows(["module", *COLUMNS], [[module, *(row[column] for column in COLUMNS)] for module, row in counts.items()])


def _before() -> list[str]:
    """Of one sample, how many were killed before tests were written against its survivors, and after."""
    kept = json.loads((FOLDER / "before.json").read_text())
    total = {column: sum(row[column] for row in kept.values()) for column in ("run", "before", "after")}
    return _rows(["module", *total], [[module, *row.values()] for module, row in (kept | {"all": total}).items()])


def _rows(head: list[str], rows: list[list[object]]) -> list[str]:
    return ["| " + " | ".join(map(str, row)) + " |" for row in (head, ["---"] * len(head), *rows)]
