"""Tables fitted to the width of the terminal: one line per image, long names shortened, no word broken.

A table that is too wide is set closer and takes the short form of its heads and cells; then names are shortened and prose is
wrapped; and if that is not enough, the columns are divided over several tables, each of which begins with the first column.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Self

from rich import box
from rich import table as rich_table
from rich.cells import cell_len, chop_cells
from rich.text import Text

TAIL = 12
"""Characters kept at the end of a shortened name: the number and suffix of an image."""
_SHORTEST = {"name": 16, "label": 8}


@dataclass(frozen=True)
class Column:
    """A column of a table.

    ``short``: the head if there is not much room; ``kind``: ``number`` (never shortened), ``name`` (unique, or a path) and
    ``label`` (shortened in the middle), or ``prose`` (wrapped between words); ``right``: aligned to the right.
    """

    head: str
    short: str = ""
    kind: str = "number"
    right: bool = False


@dataclass(frozen=True)
class Cell:
    """Text of a cell, and its short form."""

    text: Text
    short: Text


@dataclass
class Table:
    """Columns, rows of as many cells, and words above and below."""

    columns: tuple[Column, ...]
    title: str = ""
    caption: str = ""
    rows: list[tuple[Cell, ...]] = field(default_factory=list)


@dataclass(frozen=True)
class _Grid:
    """Texts in columns, with the width of each; ``close``: set without lines between columns."""

    columns: tuple[Column, ...]
    texts: tuple[tuple[Text, ...], ...]
    widths: tuple[int, ...]
    close: bool

    @classmethod
    def of(cls, columns: tuple[Column, ...], texts: Sequence[Sequence[Text]], close: bool) -> Self:
        widths = (
            max(_longest_word(column.head), *(text.cell_len for text in texts_of), 1)
            for column, texts_of in zip(columns, texts, strict=True)
        )
        return cls(columns, tuple(map(tuple, texts)), tuple(widths), close)

    @property
    def total(self) -> int:
        n = len(self.widths)
        return sum(self.widths) + (2 * (n - 1) if self.close else 3 * n + 1)

    def shrunk(self, width: int, gap: str) -> "_Grid":
        """Names and labels shortened and prose wrapped, the widest first, until all fits into ``width`` if it can."""
        widths = list(self.widths)
        least = [self._least(j) for j in range(len(widths))]
        excess = self.total - width
        while excess > 0 and (able := [j for j in range(len(widths)) if widths[j] > least[j]]):
            widths[max(able, key=lambda j: widths[j] - least[j])] -= 1
            excess -= 1
        texts = [self._shortened(j, widths[j], gap) for j in range(len(widths))]
        columns = [
            replace(column, head=shorten_middle(column.head, w, gap)) if _longest_word(column.head) > w else column
            for column, w in zip(self.columns, widths, strict=True)
        ]
        return _Grid(tuple(columns), tuple(texts), tuple(widths), self.close)

    def _least(self, j: int) -> int:
        kind, width = self.columns[j].kind, self.widths[j]
        if kind == "prose":
            return min(width, max(_longest_word(self.columns[j].head), *(_longest_word(text.plain) for text in self.texts[j])))
        return min(width, _SHORTEST.get(kind, width))

    def _shortened(self, j: int, width: int, gap: str) -> tuple[Text, ...]:
        if self.columns[j].kind not in _SHORTEST or width >= self.widths[j]:
            return self.texts[j]
        tail = TAIL if self.columns[j].kind == "name" else width // 3
        names = shorten_all([text.plain for text in self.texts[j]], width, gap, tail)
        return tuple(Text(name, text.style) for name, text in zip(names, self.texts[j], strict=True))

    def parts(self, width: int) -> Iterator["_Grid"]:
        """The columns in as many grids as their widths need, the first column in each."""
        chosen = [0]
        for j in range(1, len(self.widths)):
            if len(chosen) > 1 and self._chosen([*chosen, j]).total > width:
                yield self._chosen(chosen)
                chosen = [0]
            chosen.append(j)
        yield self._chosen(chosen)

    def _chosen(self, which: Sequence[int]) -> "_Grid":
        columns, texts = tuple(self.columns[j] for j in which), tuple(self.texts[j] for j in which)
        return _Grid(columns, texts, tuple(self.widths[j] for j in which), self.close)

    def widened(self, width: int) -> tuple[int, ...]:
        """Widths with what is left of ``width`` given to heads that take several lines."""
        widths, left = list(self.widths), width - self.total
        for j, column in enumerate(self.columns):
            more = max(0, min(left, cell_len(column.head) - widths[j]))
            widths[j] += more
            left -= more
        return tuple(widths)


def fit(table: Table, width: int, gap: str = "…") -> tuple[str, list[rich_table.Table]]:
    """The folder that all paths in ``table`` have in common, blank if none is printed, and tables of at most ``width`` columns.

    ``gap`` stands for what is left out of a name.
    """
    texts = [[row[j].text for row in table.rows] for j in range(len(table.columns))]
    folder, bare = _without_common_folder(table, texts)
    n_paths = max((len({text.plain for text in texts[j]}) for j in _names(table)), default=0)
    folder_said = folder if n_paths > 1 else ""
    whole = _Grid.of(table.columns, bare if folder_said else texts, close=False)
    if whole.total <= width:
        return folder_said, [_render(whole, width)]
    columns = tuple(replace(column, head=column.short or column.head) for column in table.columns)
    short = [
        bare[j] if column.kind == "name" else [row[j].short for row in table.rows] for j, column in enumerate(table.columns)
    ]
    parts = list(_Grid.of(columns, short, close=True).shrunk(width, gap).parts(width))
    return folder, [_render(part, width) for part in parts]


def shorten_middle(name: str, width: int, gap: str = "…", tail: int = TAIL) -> str:
    """``name`` in at most ``width`` columns: its start and its last ``tail`` characters, or fewer where these are too many.

    Examples
    --------
    >>> shorten_middle("breast_0004711_left_CC.png", 20)
    'breast_…_left_CC.png'
    """
    if cell_len(name) <= width:
        return name
    room = max(2, width - cell_len(gap))
    end = _first(name[::-1], min(tail, room - 1))[::-1]
    return _first(name, room - cell_len(end)) + gap + end


def shorten_all(names: Sequence[str], width: int, gap: str = "…", tail: int = TAIL) -> list[str]:
    """Names shortened in the middle to ``width`` columns; different names stay different.

    Where start and end do not distinguish two names, other lengths of start and end are tried, or else names are numbered.
    """
    different = len(set(names))
    for kept in (tail, *range(width - 3, 0, -1)):
        short = [shorten_middle(name, width, gap, kept) for name in names]
        if len(set(short)) == different:
            return short
    number = {name: i for i, name in enumerate(dict.fromkeys(names), start=1)}
    return [
        name if cell_len(name) <= width else shorten_middle(name, width, f"{gap}{number[name]}{gap}", tail=4) for name in names
    ]


def _first(text: str, width: int) -> str:
    """The first characters of ``text`` that fit into ``width`` columns."""
    return chop_cells(text, width)[0] if text and width > 0 else ""


def _longest_word(text: str) -> int:
    return max(map(cell_len, text.split()), default=0)


def _names(table: Table) -> list[int]:
    return [j for j, column in enumerate(table.columns) if column.kind == "name"]


def _without_common_folder(table: Table, texts: list[list[Text]]) -> tuple[str, list[list[Text]]]:
    """The folder common to all cells of the column of names, and the columns with names relative to it."""
    which = _names(table)
    paths = [text.plain for j in which for text in texts[j] if text.plain]
    if not paths or len({PurePath(path).is_absolute() for path in paths}) > 1:
        return "", texts
    folder = os.path.commonpath([PurePath(path).parent for path in paths])
    if folder in ("", os.sep):
        return "", texts
    bare = [
        [Text(os.path.relpath(text.plain, folder) if text.plain else "", text.style) for text in column]
        if j in which
        else column
        for j, column in enumerate(texts)
    ]
    return folder, bare


def _render(grid: _Grid, width: int) -> rich_table.Table:
    lines = box.SIMPLE_HEAD if grid.close else box.HEAVY_HEAD
    padding = (0, 1, 0, 0) if grid.close else (0, 1)
    found = rich_table.Table(box=lines, padding=padding, show_edge=not grid.close, pad_edge=not grid.close)
    for column, cells in zip(grid.columns, grid.widened(width), strict=True):
        found.add_column(Text(column.head), justify="right" if column.right else "left", width=cells, overflow="fold")
    for row in zip(*grid.texts, strict=True):
        found.add_row(*row)
    return found
