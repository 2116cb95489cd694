"""The floors of the code, written from the layers contract and the first line of each module."""

import ast
import tomllib
from pathlib import Path
from typing import Any

PLACE = "{{ floors }}"
ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "bayescope"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the table where a page says so."""
    return markdown.replace(PLACE, table()) if PLACE in markdown else markdown


def layers() -> list[list[str]]:
    """Names of the modules on each floor, the highest floor first."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"][0]
    return [[name.strip().removeprefix("bayescope.") for name in layer.split("|")] for layer in contract["layers"]]


def table() -> str:
    """One row for each module, packages opened."""
    lines = ["| floor | module | what it holds |", "| --- | --- | --- |"]
    floors = layers()
    for height, names in zip(range(len(floors), 0, -1), floors, strict=True):
        shown = str(height)
        for path in [path for name in names for path in _modules(name)]:
            name = path.relative_to(PACKAGE).as_posix().removesuffix(".py").removesuffix("/__init__")
            if summary := _summary(path):
                lines.append(f"| {shown} | `{name}` | {summary} |")
                shown = ""
    return "\n".join(lines)


def _modules(name: str) -> list[Path]:
    folder = PACKAGE / name
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def _summary(path: Path) -> str:
    """The first paragraph of the module's docstring, as Markdown."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.partition("\n\n")[0].split()).replace("``", "`").replace("|", "\\|")
