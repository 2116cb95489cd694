"""What commands print.  Names, paths and classes are a user's words: never markup, and never broken over lines.

No result is lost for want of a character: what the encoding of the stream lacks is written in ASCII.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

_ASCII = {
    "±": "+/-",
    "–": "-",
    "—": "-",
    "×": "x",
    "≥": ">=",
    "≤": "<=",
    "σ": "sigma",
    "δ": "delta",
    "…": "...",
    "·": "-",
    "½": "1/2",
    "√": "sqrt",
    "→": "->",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "\N{NO-BREAK SPACE}": " ",
}


class _Spelling:
    """A stream's text with what its encoding lacks spelt in ASCII."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(encodable(text, self._stream.encoding or "utf-8"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def encodable(text: str, encoding: str) -> str:
    """``text`` as ``encoding`` can hold it: ``±`` becomes ``+/-`` where it is missing, other characters ``\\xe9``."""
    try:
        text.encode(encoding)
        return text
    except UnicodeEncodeError:
        pass
    except LookupError:
        encoding = "ascii"
    return "".join(_character(character, encoding) for character in text)


def _character(character: str, encoding: str) -> str:
    for spelling in (character, _ASCII.get(character, character)):
        try:
            spelling.encode(encoding)
            return spelling
        except UnicodeEncodeError:
            continue
    return character.encode(encoding, "backslashreplace").decode(encoding)


class _Console(Console):
    """Prints to the standard stream of the moment, whatever its encoding; draws boxes in ASCII where that has no lines."""

    @property
    def file(self) -> Any:
        return _Spelling(super().file)  # type: ignore[arg-type]

    @file.setter
    def file(self, new_file: Any) -> None:
        self._file = new_file


console = _Console()
errors = _Console(stderr=True)


def never_fail_to_encode() -> None:
    """Let the standard streams write what their encoding lacks as ``\\xe9``: also what other libraries print."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


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
    """One line of strict JSON in ASCII: what is no finite number is null."""
    typer.echo(json.dumps(finite(record), allow_nan=False))


def finite(record: dict[str, Any]) -> dict[str, Any]:
    """``record`` as JSON holds it, with null for NaN and infinities."""
    content: dict[str, Any] = json.loads(json.dumps(record), parse_constant=lambda constant: None)
    return content


def in_words(numbers: Mapping[str, float]) -> str:
    """Numbers by class: ``cancer 0.01, normal 0.99``."""
    return ", ".join(f"{name} {number:.4g}" for name, number in numbers.items())


def new_table(*columns: str, title: str = "", caption: str = "", right: tuple[str, ...] = ()) -> Table:
    """An empty table; columns named in ``right`` are aligned there."""
    table = Table(title=Text(title) if title else None, title_justify="left", caption=Text(caption) if caption else None)
    for column in columns:
        table.add_column(Text(column), justify="right" if column in right else "left", overflow="fold")
    return table


def add_row(table: Table, *cells: str | Text) -> None:
    """One row, of text as it is; a cell that is a Text keeps its style."""
    table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))
