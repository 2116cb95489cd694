"""Functions that a command calls, replaced: the command ends there, or goes on with an answer that was written down."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    found = dict[str, Any]()

    def stop(arguments: dict[str, Any]) -> None:
        found.update(arguments)
        raise Stopped

    with pytest.MonkeyPatch.context() as patch:
        _replace(patch, function, stop)
        yield found


def answered(patch: pytest.MonkeyPatch, function: str, answer: Any = None) -> list[dict[str, Any]]:
    """``module:function`` or ``module:Class.method`` returns ``answer``, or raises it; its arguments by name, a dict a call."""
    calls: list[dict[str, Any]] = []

    def reply(arguments: dict[str, Any]) -> Any:
        calls.append(arguments)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    _replace(patch, function, reply)
    return calls


def remembered(patch: pytest.MonkeyPatch, function: str, results: dict[str, Any], key: str) -> None:
    """``module:function`` or ``module:Class.method`` works once for a ``key`` of ``results``, then gives the same again."""
    owner, attribute = _place(function)
    work = getattr(owner, attribute)

    def recall(*positional: Any, **named: Any) -> Any:
        if key not in results:
            results[key] = work(*positional, **named)
        return results[key]

    patch.setattr(owner, attribute, recall)


def _place(function: str) -> tuple[Any, str]:
    """What holds ``module:function`` or ``module:Class.method``, and by which name."""
    module, _, name = function.partition(":")
    *owners, attribute = name.split(".")
    owner: Any = import_module(f"bayescope.{module}")
    for part in owners:
        owner = getattr(owner, part)
    return owner, attribute


def _replace(patch: pytest.MonkeyPatch, function: str, reply: Callable[[dict[str, Any]], Any]) -> None:
    owner, attribute = _place(function)
    signature = inspect.signature(getattr(owner, attribute))

    def spy(*positional: Any, **named: Any) -> Any:
        bound = signature.bind(*positional, **named)
        bound.apply_defaults()
        return reply(dict(bound.arguments))

    patch.setattr(owner, attribute, spy)


def bars(patch: pytest.MonkeyPatch, module: str) -> list[tuple[str, int, bool]]:
    """Title, total and whether it is hidden of each bar that a module of ``cli`` shows, as soon as it has reached its total."""
    shown: list[tuple[str, int, bool]] = []

    @contextmanager
    def bar(title: str, total: int, quiet: bool = False) -> Iterator[Callable[[int], None]]:
        done: list[int] = []
        yield done.append
        assert sum(done) == total
        shown.append((title, total, quiet))

    patch.setattr(import_module(f"bayescope.cli.{module}"), "bar", bar)
    return shown


def table_rows(printed: str) -> list[list[str]]:
    """Cells of the rows of all tables in what was printed, heads included."""
    lines = [line.replace("┃", "│").strip() for line in printed.splitlines()]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]


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
