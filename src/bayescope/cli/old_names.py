"""Deprecated names of options and settings: accepted with a warning that gives the new name."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bayescope.cli.output import warn
from bayescope.errors import RenamedWarning

OLD_OPTIONS = {"--error-rate": "--disagreement-rate", "--tensorboard": "--logger=tensorboard"}


def with_new_names(arguments: Sequence[str]) -> list[str]:
    """The command line's ``arguments``, options under their new names; warns of old ones."""
    found = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name in OLD_OPTIONS:
            warn(f"{name} is now called {OLD_OPTIONS[name]}; change it")
        found.append(OLD_OPTIONS.get(name, name) + equals + value)
    return found


@contextmanager
def report_old_names() -> Iterator[None]:
    """Warnings of old names in a configuration are printed as every other warning of the command line."""
    with warnings.catch_warnings():
        shown = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
            if issubclass(category, RenamedWarning):
                warn(str(message))
            else:
                shown(message, category, *rest, **more)

        warnings.showwarning = show
        warnings.simplefilter("always", RenamedWarning)
        yield
