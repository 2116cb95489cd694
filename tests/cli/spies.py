"""Runs the command line until it calls one given function, and tells what that was called with."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer.main

from bayescope.cli.main import app

NOT_CALLED = "not called"


class Stopped(BaseException):
    """The function was called; nothing after it matters."""


@contextmanager
def stopped_at(function: str) -> Iterator[dict[str, Any]]:
    """Within, ``module:function`` or ``module:Class.method`` raises Stopped; yields its arguments by name, filled then."""
    module, _, name = function.partition(":")
    *owners, attribute = name.split(".")
    owner: Any = import_module(f"bayescope.{module}")
    for part in owners:
        owner = getattr(owner, part)
    signature, found = inspect.signature(getattr(owner, attribute)), dict[str, Any]()

    def spy(*positional: Any, **named: Any) -> None:
        bound = signature.bind(*positional, **named)
        bound.apply_defaults()
        found.update(bound.arguments)
        raise Stopped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, attribute, spy)
        yield found


def argument(arguments: Sequence[str], function: str, path: str) -> Any:
    """The argument at ``path``, such as "config.training.steps", that ``function`` has when the command line calls it first.

    True if no path is asked for, and NOT_CALLED if the command ended without calling it.
    """
    with stopped_at(function) as found:
        try:
            typer.main.get_command(app).main(list(arguments), standalone_mode=False)
        except Stopped:
            return _at(found, path)
        return NOT_CALLED


def _at(found: Any, path: str) -> Any:
    if not path:
        return True
    for part in path.split("."):
        if found is None:
            return None
        if part.isdecimal():
            found = found[int(part)] if int(part) < len(found) else None
        else:
            found = found[part] if isinstance(found, Mapping) else getattr(found, part)
    return str(found) if isinstance(found, Path) else found
