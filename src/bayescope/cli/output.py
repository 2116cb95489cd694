"""What commands print.  Names, paths and classes are a user's words: never markup, and never broken over lines."""

import json
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

console = Console()
errors = Console(stderr=True)


def say(text: str, style: str = "") -> None:
    """A line on standard output, as it is."""
    console.print(Text(text, style), soft_wrap=True)


def complain(text: str, style: str = "red") -> None:
    """A line on standard error, as it is."""
    errors.print(Text(text, style), soft_wrap=True)


def warn(text: str) -> None:
    """A warning on standard error, or nothing if there is nothing to tell."""
    if text:
        complain(f"warning: {text}", "yellow")


def print_json(record: dict[str, Any]) -> None:
    """One line of strict JSON: what is no finite number is null."""
    typer.echo(json.dumps(finite(record), allow_nan=False))


def finite(record: dict[str, Any]) -> dict[str, Any]:
    """``record`` as JSON holds it, with null for NaN and infinities."""
    content: dict[str, Any] = json.loads(json.dumps(record), parse_constant=lambda constant: None)
    return content


def new_table(*columns: str, title: str = "", caption: str = "", right: tuple[str, ...] = ()) -> Table:
    """An empty table; columns named in ``right`` are aligned there."""
    table = Table(title=Text(title) if title else None, title_justify="left", caption=Text(caption) if caption else None)
    for column in columns:
        table.add_column(Text(column), justify="right" if column in right else "left", overflow="fold")
    return table


def add_row(table: Table, *cells: str | Text) -> None:
    """One row, of text as it is; a cell that is a Text keeps its style."""
    table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))
