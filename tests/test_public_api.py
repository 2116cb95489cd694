"""The public names of the package, the functions behind the commands, and how long it takes to import them."""

import inspect
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import typer.main

import bayescope
from bayescope.cli.main import app

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "python.md"
_ROW = re.compile(r"^\| `([a-z]+)` \| (.+) \|$", flags=re.MULTILINE)
_LINK = re.compile(r"\[`([\w.]+)`\]\[([\w.]+)\]")
ROWS = dict(_ROW.findall(PAGE.read_text()))
LINKS = [link for cell in ROWS.values() for link in _LINK.findall(cell)]
HEAVY = (
    "torch",
    "scipy",
    "sklearn",
    "skimage",
    "pandas",
    "matplotlib",
    "pydicom",
    "pydantic",
    "PIL",
    "lightning_fabric",
    "monai",
)


def resolved(path: str) -> Any:
    """What a dotted path names: attributes of the longest module that it begins with."""
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: Any = import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for name in parts[end:]:
            found = getattr(found, name)
        return found
    raise AssertionError(f"{path}: no module")


def cpu_seconds(*arguments: str) -> float:
    """Of a fresh process, the median of three: what it takes on a quiet machine, whatever else runs on this one."""
    times = []
    for _ in range(3):
        before = os.times()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        after = os.times()
        times.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return median(times)


def test_every_command_has_its_functions_in_the_table() -> None:
    group: Any = typer.main.get_command(app)
    assert set(ROWS) == set(group.commands)
    assert all(_LINK.search(cell) for cell in ROWS.values())


@pytest.mark.parametrize(("name", "path"), LINKS, ids=[path for _, path in LINKS])
def test_functions_of_the_table_are_there_and_documented(name: str, path: str) -> None:
    found = resolved(path)
    assert path.endswith(f".{name}")
    assert callable(found)
    assert inspect.getdoc(found)


def test_public_names_are_those_of_their_modules() -> None:
    names = set(bayescope.__all__) - {"__version__"}
    assert names == set(bayescope._MODULES)
    for name in names:
        assert getattr(bayescope, name) is getattr(import_module(bayescope._MODULES[name]), name)
    assert names <= set(dir(bayescope))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = bayescope.nothing


@pytest.mark.parametrize("module", ["bayescope", "bayescope.cli.main"])
def test_importing_loads_no_heavy_library(module: str) -> None:
    """Nor does `--help` of a command, which needs no more than the second."""
    code = f"import sys, {module}; print(*[name for name in {HEAVY} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout.split() == []


@pytest.mark.parametrize("code", ["import bayescope", "from bayescope.cli.main import run; run()"])
def test_importing_and_help_take_under_a_second(code: str) -> None:
    """On a quiet machine; the bound is twice that, as cores are slower where others work beside."""
    assert cpu_seconds("-c", code, "evaluate", "--help") < 2
