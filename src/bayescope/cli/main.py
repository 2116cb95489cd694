"""The ``bayescope`` command: subcommands, error messages and exit codes."""

import sys
from pathlib import Path
from typing import Any

import typer
import typer.main

from bayescope import __version__
from bayescope.cli import (
    adapt,
    card,
    classify,
    compare,
    demo,
    evaluate,
    explain,
    export,
    likelihood,
    node,
    prepare,
    prevalence,
    report,
    sample,
    serve,
    train,
)
from bayescope.cli.old_names import report_old_names, with_new_names
from bayescope.cli.output import INTERRUPTED, any_output, complain_at_end
from bayescope.errors import BayescopeError, RunError

app = typer.Typer(
    help="Classify medical images by likelihood. For research; not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for module in (
    demo,
    train,
    evaluate,
    classify,
    explain,
    serve,
    compare,
    likelihood,
    prepare,
    adapt,
    prevalence,
    report,
    sample,
    export,
    card,
):
    app.command(module.NAME)(module.command)
app.add_typer(node.app, name=node.NAME)


def commands() -> dict[str, Any]:
    """All commands by the words that call them, such as ``train`` and ``node status``."""
    group: Any = typer.main.get_command(app)
    found = dict[str, Any]()
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        found |= {name: command} if inner is None else {f"{name} {word}": below for word, below in inner.items()}
    return found


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"bayescope {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: bool = typer.Option(False, help="Show tracebacks."),
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Classify medical images by likelihood. For research; not a medical device."""


def _check_folder() -> None:
    """Raise RunError if the current folder was deleted, without which libraries do not load."""
    try:
        Path.cwd()
    except OSError as error:
        raise RunError(
            f"the current folder cannot be used ({error.strerror or error}); expected one that exists. Change to "
            "another: `cd ~`"
        ) from None


def run() -> None:
    """Entry point.

    Exit code 0: done; 1: done, but some images failed; 2: not done; 70: a defect of Bayescope; 130: interrupted.
    """
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    with any_output():
        try:
            _check_folder()
            with report_old_names():
                sys.argv[1:] = with_new_names(sys.argv[1:])
                app()
        except BayescopeError as error:
            if debug:
                raise
            complain_at_end(f"error: {error}", is_expected=True)
            sys.exit(2)
        except OSError as error:
            if debug:
                raise
            complain_at_end(
                f"error: {error}; expected folders that exist, and free space. What was written before is kept",
                is_expected=True,
            )
            sys.exit(2)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        except Exception as error:
            if debug:
                raise
            complain_at_end(
                f"error: unexpected {type(error).__name__}: {error}\nRun again with --debug and report this", is_expected=False
            )
            sys.exit(70)
