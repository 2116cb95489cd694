"""Output of commands.  Names, paths and classes are printed as they are: never as markup, never broken over lines.

Any encoding works: a character that standard output cannot encode is written with ASCII characters.
"""

import codecs
import errno
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO, cast

import typer
from rich.console import Console
from rich.segment import Segments
from rich.table import Table as RichTable
from rich.text import Text

from bayescope.cli.tables import Cell, Column, Table, fit
from bayescope.errors import RunError, reading
from bayescope.json_values import finite

console = Console()
errors = Console(stderr=True)

INTERRUPTED = 130
told_of_errors = True
"""Whether this process tells the user of errors to correct; else another one on the same machine does."""
_IN_ASCII = "bayescope.in_ascii"
_ASCII = {
    **{"±": "+/-", "×": "x", "÷": "/", "·": ".", "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "−": "-", "→": "->", "←": "<-"},
    **{"–": "-", "—": "-", "‐": "-", "…": "...", "‘": "'", "’": "'", "“": '"', "”": '"', "•": "*", "\N{NO-BREAK SPACE}": " "},
    **{"σ": "sigma", "Σ": "Sigma", "μ": "mu", "µ": "u", "α": "alpha", "β": "beta", "λ": "lambda", "∞": "inf", "°": " deg"},
    **{"━": "-", "╸": "-", "╺": "-", "─": "-", "│": "|", "╭": "+", "╮": "+", "╰": "+", "╯": "+"},
}
_FEWEST_COLUMNS = 80
_RAW_BYTES = range(0xDC80, 0xDD00)
"""How Python represents the bytes of a file name that is not UTF-8."""


@contextmanager
def any_output() -> Iterator[None]:
    """While this lasts, printing fails neither for the encoding of the standard streams nor for what standard error is.

    Standard output may still refuse to be written to, which is a RunError.
    """
    stdout, stderr = sys.stdout, sys.stderr
    handlers = [(stream, stream.errors) for stream in (stdout, stderr) if hasattr(stream, "reconfigure")]
    for stream, _ in handlers:
        stream.reconfigure(errors=_IN_ASCII)
    if stderr is not None:
        sys.stderr = cast(TextIO, _Unfailing(stderr))
    try:
        yield
    finally:
        sys.stderr = stderr
        for stream, handler in handlers:
            if not stream.closed:
                stream.reconfigure(errors=handler)


class _Unfailing:
    """Standard error for which no work is given up: once writing fails, nothing more is written there."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            _leave(self._stream)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            _leave(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _leave(stream: TextIO) -> None:
    """Discard what the stream still has in its buffer, on which Python would fail at exit."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """A codec error handler: what is read alike, such as ``+/-``, or else an escape, such as ``\\xe9``."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_ascii_for, error.object[error.start : error.end])), error.end


def _ascii_for(character: str) -> str:
    if ord(character) in _RAW_BYTES:
        return f"\\x{ord(character) - 0xDC00:02x}"
    return _ASCII.get(character) or character.encode("ascii", "backslashreplace").decode()


codecs.register_error(_IN_ASCII, _in_ascii)


def _as_text(text: str | Text, style: str = "", on: Console = console) -> Text:
    """``text`` as it is, never markup, in characters that ``on`` can encode: replaced now, since a table counts columns."""
    if isinstance(text, Text):
        return text
    return Text(text.encode(on.encoding, _IN_ASCII).decode(on.encoding), style)


@contextmanager
def resumable(kept: Callable[[], str]) -> Iterator[None]:
    """Print what is ``kept`` when the user interrupts (Ctrl-C), and how to continue; exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        complain(f"interrupted: {kept()}", "yellow")
        raise typer.Exit(INTERRUPTED) from None


def leave_to_first_process(speaks_of_errors: bool) -> None:
    """Print nothing more in a process that trains along with a first one, and leave Ctrl-C to it.

    ``speaks_of_errors``: that a user can correct; unexpected ones are told in any case.
    """
    global told_of_errors
    console.quiet = errors.quiet = True
    told_of_errors = speaks_of_errors
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def complain_at_end(text: str, is_expected: bool) -> None:
    """A line on standard error on why the command ends."""
    errors.quiet = is_expected and not told_of_errors
    complain(text, style="")


@contextmanager
def _printing() -> Iterator[None]:
    """Turn the system's refusal to print into a RunError; a pipe that its reader has closed is for the caller."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        _leave(sys.stdout)
        raise RunError(
            f"standard output: cannot be written ({error.strerror or error}); expected a place with free space. What was "
            "written to files is kept; print to another place"
        ) from None


def say(text: str, style: str = "") -> None:
    """A line on standard output, as it is."""
    with _printing():
        console.print(_as_text(text, style), soft_wrap=True)


def show(table: Table) -> None:
    """A table on standard output, of 80 columns at least: in a narrower one no words would be left whole."""
    width = max(console.width, _FEWEST_COLUMNS)
    folder, tables = fit(table, width, _as_text("…").plain)
    if folder:
        say(f"In {folder}:")
    title, caption = Text(table.title, "table.title"), Text(table.caption, "table.caption")
    below = [part for found in tables[1:] for part in (Text(), found)]
    parts: list[Text | RichTable] = [*[title] * bool(table.title), tables[0], *below, *[caption] * bool(table.caption)]
    with _printing():
        for part in parts:
            console.print(Segments(console.render(part, console.options.update_width(width))), crop=False, end="")


def complain(text: str, style: str = "red") -> None:
    """A line on standard error, as it is."""
    errors.print(_as_text(text, style, errors), soft_wrap=True)


def warn(text: str) -> None:
    """Print a warning on standard error; nothing for a blank text."""
    if text:
        complain(f"warning: {text}", "yellow")


def print_json(record: dict[str, Any]) -> None:
    """One line of strict JSON in ASCII: what is no finite number is null."""
    with _printing():
        console.file.write(_line(record))
        console.file.flush()


def format_values(numbers: Mapping[str, float]) -> str:
    """Numbers by class: ``cancer 0.01, normal 0.99``."""
    return ", ".join(f"{name} {number:.4g}" for name, number in numbers.items())


def new_table(*columns: str | Column, title: str = "", caption: str = "", right: tuple[str, ...] = ()) -> Table:
    """An empty table; columns named in ``right`` are aligned there."""
    found = (column if isinstance(column, Column) else Column(column, right=column in right) for column in columns)
    heads = (replace(column, head=_as_text(column.head).plain, short=_as_text(column.short).plain) for column in found)
    return Table(tuple(heads), _as_text(title).plain, _as_text(caption).plain)


def add_row(table: Table, *cells: str | Text | tuple[str | Text, str | Text]) -> None:
    """One row, of text as it is; a cell that is a Text keeps its style; of two, the second is for narrow tables."""
    pairs = (cell if isinstance(cell, tuple) else (cell, cell) for cell in cells)
    table.rows.append(tuple(Cell(_as_text(text), _as_text(short)) for text, short in pairs))


def check_free(path: Path, force: bool) -> None:
    """Raise RunError if ``path`` is there already and is not to be replaced, or cannot be reached."""
    with reading(path, RunError):
        exists = path.exists()
    if exists and not force:
        raise RunError(f"{path}: exists already; give --force to replace it, or another --out")


def write_json_lines(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """What :func:`print_json` prints of ``records``, as a file, written atomically."""
    from bayescope.runs.files import write_atomically

    write_atomically(path, "".join(map(_line, records)).encode())


def _line(record: dict[str, Any]) -> str:
    return json.dumps(finite(record), allow_nan=False) + "\n"
