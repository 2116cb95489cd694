"""The layers of the code, written from the layers contract and the first line of each module.

python docs/hooks/layers.py            # updates the map in the README
python docs/hooks/layers.py --print    # prints it
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PLACE = "{{ layers }}"
ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "bayescope"
_README = re.compile(r"(<!-- layers[^>]*-->\n).*?(<!-- /layers -->)", flags=re.DOTALL)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the table of all modules where a page says so."""
    return markdown.replace(PLACE, table()) if PLACE in markdown else markdown


def layers() -> list[list[str]]:
    """Names of the modules and packages in each layer, the highest layer first."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"][0]
    return [[name.strip().removeprefix("bayescope.") for name in layer.split("|")] for layer in contract["layers"]]


def table() -> str:
    """One row for each module, packages opened."""
    return _rows("module", _modules)


def overview() -> str:
    """One row for each package or module that the contract names."""
    return _rows("folder of `src/bayescope`", lambda name: [_file(name)])


def write_readme() -> None:
    """Put the overview into the README, between its marks."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(_README.sub(lambda match: match[1] + overview() + match[2], text), encoding="utf-8")


def _rows(title: str, modules: Any) -> str:
    found = layers()
    lines = [f"| layer | {title} | contents |", "| --- | --- | --- |"]
    for height, names in zip(range(len(found), 0, -1), found, strict=True):
        shown = str(height)
        for path in _each(modules, names):
            name = path.relative_to(PACKAGE).as_posix().removesuffix(".py").removesuffix("/__init__")
            if summary := _summary(path):
                lines.append(f"| {shown} | `{name}` | {summary} |")
                shown = ""
    return "\n".join(lines) + "\n"


def _each(modules: Any, names: list[str]) -> Iterator[Path]:
    return (path for name in names for path in modules(name))


def _file(name: str) -> Path:
    folder = PACKAGE / name
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


def _modules(name: str) -> list[Path]:
    folder = PACKAGE / name
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [_file(name)]


def _summary(path: Path) -> str:
    """The first paragraph of the module's docstring, as Markdown."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.partition("\n\n")[0].split()).replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    if "--print" in sys.argv:
        sys.stdout.write(overview())
    else:
        write_readme()
