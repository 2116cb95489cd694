"""Docstrings of everything that the reference pages show: every parameter is named, and examples run."""

import doctest
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

from test_public_api import resolved

REFERENCE = Path(__file__).resolve().parents[1] / "docs" / "reference"
_ENTRY = re.compile(r"^::: ([\w.]+)\n(?:    options:(?:\n      .*)*)?", flags=re.MULTILINE)
_MEMBERS = re.compile(r"members: \[(.*)\]")


def entries() -> Iterator[tuple[str, Any]]:
    """Dotted paths and objects: of a module the listed or all its public members."""
    for page in sorted(REFERENCE.glob("*.md")):
        for match in _ENTRY.finditer(page.read_text()):
            path, members = match[1], _MEMBERS.search(match[0])
            found = resolved(path)
            if isinstance(found, ModuleType):
                names = members[1].split(", ") if members else own_names(found)
                yield from ((f"{path}.{name}", getattr(found, name)) for name in names)
            else:
                yield path, found


def own_names(module: ModuleType) -> list[str]:
    return [
        name
        for name, found in vars(module).items()
        if not name.startswith("_") and getattr(found, "__module__", None) == module.__name__ and callable(found)
    ]


def functions() -> Iterator[tuple[str, FunctionType, str]]:
    """Public functions and methods, each with its docstring; that of a class documents its constructor."""
    for path, found in entries():
        if inspect.isfunction(found):
            yield path, found, inspect.getdoc(found) or ""
        elif inspect.isclass(found):
            for name, member in vars(found).items():
                method = getattr(member, "__func__", member)
                if inspect.isfunction(method) and (not name.startswith("_") or name == "__call__"):
                    yield f"{path}.{name}", method, inspect.getdoc(method) or ""
            if "__init__" in vars(found) and found.__doc__:
                yield path, vars(found)["__init__"], inspect.getdoc(found) or ""


FUNCTIONS = list(functions())


@pytest.mark.parametrize(("path", "function", "doc"), FUNCTIONS, ids=[path for path, _, _ in FUNCTIONS])
def test_every_parameter_is_named(path: str, function: FunctionType, doc: str) -> None:
    assert doc, f"{path} has no docstring"
    parameters = [name for name in inspect.signature(function).parameters if name not in ("self", "cls", "args", "kwargs")]
    missing = [name for name in parameters if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", doc)]
    assert not missing, f"{path}: {', '.join(missing)}"


@pytest.mark.parametrize("name", sorted({function.__module__ for _, function, _ in FUNCTIONS} - {"typing"}))
def test_examples_run(name: str) -> None:
    failures = doctest.testmod(import_module(name)).failed
    assert not failures
