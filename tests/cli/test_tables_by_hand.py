"""Tables and shortened names, cell by cell."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from bayescope.cli import output, tables
from bayescope.cli.main import commands
from bayescope.cli.tables import Column, Table, fit, shorten_all, shorten_middle


def grid(*kinds: tuple[str, str], close: bool = True) -> tables._Grid:
    """One row, of a kind and a text each, under heads of one letter."""
    columns = tuple(Column(chr(65 + j), kind=kind) for j, (kind, _) in enumerate(kinds))
    return tables._Grid.of(columns, [[Text(text)] for _, text in kinds], close)


def drawn(table: Table, width: int, **options: object) -> list[str]:
    """The lines of a table at a width."""
    stream = io.StringIO()
    for part in fit(table, width)[1]:
        Console(file=stream, width=width, **options).print(part)  # type: ignore[arg-type]
    return stream.getvalue().splitlines()


def test_a_column_is_as_wide_as_its_longest_cell_or_word_of_its_head() -> None:
    columns = (Column("two words"), Column("", kind="name"), Column("a"))
    texts = [[Text("1")], [Text("病.png"), Text("a.png")], [Text("")]]
    found = tables._Grid.of(columns, texts, close=False)
    assert found.widths == (5, 6, 1)
    assert found.total == 5 + 6 + 1 + 3 * 3 + 1
    assert tables._Grid.of(columns, texts, close=True).total == 5 + 6 + 1 + 2 * 2


def test_what_is_widest_above_its_least_is_shortened_first_and_no_more_than_needed() -> None:
    found = grid(("name", "n" * 40), ("label", "l" * 20), ("number", "9" * 30), ("prose", "four word text here"))
    assert found.widths == (40, 20, 30, 19)
    assert [found._least(j) for j in range(4)] == [16, 8, 30, 4]
    assert found.shrunk(found.total - 9, "…").widths == (31, 20, 30, 19)
    assert found.shrunk(found.total - 13, "…").widths == (29, 20, 30, 17)
    least = found.shrunk(1, "…")
    assert least.widths == (16, 8, 30, 4)
    assert [text[0].plain for text in least.texts] == ["nnn…" + "n" * 12, "lllll…ll", "9" * 30, "four word text here"]
    assert found.shrunk(500, "…").widths == found.widths


def test_names_keep_their_style() -> None:
    found = tables._Grid.of((Column("image", kind="name"),), [[Text("a/" + "n" * 40, "bold")]], close=True).shrunk(16, "…")
    assert str(found.texts[0][0].style) == "bold"
    table = Table((Column("image", kind="name"), Column("n")))
    for name in ("a/b.png", "a/c.png"):
        table.rows.append((tables.Cell(Text(name, "bold"), Text(name)), tables.Cell(Text("1"), Text("1"))))
    folder, (printed,) = fit(table, 80)
    assert folder == "a"
    assert [(cell.plain, str(cell.style)) for cell in printed.columns[0].cells] == [  # type: ignore[union-attr]
        ("b.png", "bold"),
        ("c.png", "bold"),
    ]


def test_a_wide_table_has_lines_and_a_narrow_one_short_heads() -> None:
    table = output.new_table(Column("probability", "p"), "passes")
    output.add_row(table, ("97.4 ± 1.2 %", "97.4"), "64")
    assert drawn(table, 60)[:2] == ["┏━━━━━━━━━━━━━━┳━━━━━━━━┓", "┃ probability  ┃ passes ┃"]
    narrow = [line.split() for line in drawn(table, 16)]
    assert narrow[0] == ["p", "passes"]
    assert narrow[-1] == ["97.4", "64"]
    assert "┃" not in "".join(drawn(table, 16))


def test_numbers_are_to_the_right_and_texts_to_the_left() -> None:
    table = output.new_table("a long head", Column("another head", right=True))
    output.add_row(table, "1", "2")
    assert drawn(table, 80)[3] == "│ 1           │            2 │"


@pytest.mark.parametrize(
    ("name", "width", "short"),
    [
        ("abcdefghij", 10, "abcdefghij"),
        ("abcdefghij", 9, "a…defghij"),
        ("abcdefghijklmnopqrstuvwxyz", 20, "abcdefg…opqrstuvwxyz"),
        ("abcdefghij", 3, "a…j"),
        ("", 3, ""),
    ],
)
def test_a_name_is_shortened_in_the_middle(name: str, width: int, short: str) -> None:
    assert shorten_middle(name, width) == short


def test_names_that_end_alike_are_told_apart_by_another_length_of_their_ends() -> None:
    names = [f"{side}{'x' * 30}{number}-one-patient.png" for side in "ab" for number in (10, 11)]
    short = shorten_all(names, 22)
    assert len(set(short)) == 4
    assert short == [f"{side}x…x{number}-one-patient.png" for side in "ab" for number in (10, 11)]


def test_names_that_no_end_tells_apart_are_numbered_from_one() -> None:
    names = [f"{'a' * 30}{i}{'z' * 30}" for i in range(2)] + ["short"]
    assert shorten_all(names, 16) == ["aaaaaaaaa…1…zzzz", "aaaaaaaaa…2…zzzz", "short"]


def test_a_head_without_words_has_no_width() -> None:
    assert (tables._longest_word(""), tables._longest_word("two words")) == (0, 5)


def test_a_table_has_eighty_columns_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(output, "console", Console(file=stream, width=40))
    table = output.new_table("h" * 30, "k" * 30, caption="c " * 30)
    output.add_row(table, "1", "2")
    output.show(table)
    lines = stream.getvalue().splitlines()
    assert len(lines[0]) == 2 * 30 + 7
    assert lines[-1].rstrip() == ("c " * 30).rstrip()


def test_titles_and_captions_have_their_styles(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(output, "console", Console(file=stream, width=80, force_terminal=True, color_system="standard"))
    output.show(output.new_table("head", title="above", caption="below"))
    first, *_, last = stream.getvalue().splitlines()
    assert (first, last) == ("\x1b[3mabove\x1b[0m", "\x1b[2;3mbelow\x1b[0m")


def test_commands_of_a_group_have_two_words() -> None:
    found = commands()
    assert {"train", "node run", "node status", "node requeue", "node purge"} <= set(found)
    assert "node" not in found
    assert found["node status"].name == "status"
