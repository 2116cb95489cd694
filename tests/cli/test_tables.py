"""Tables of every command at 80 and 200 columns: no line too long, one line an image, no word broken, names unique."""

import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from bayescope.cli import classify_table, evaluate, likelihood, output
from bayescope.cli.tables import Column, Table, fit, shorten_all, shorten_middle

WIDTHS = (80, 200)
LONG = [f"/data/the screening clinic of 2026/patients/{side}/breast_{i:05d}_{side}_MLO.png" for i in range(30) for side in "LR"]


def printed(monkeypatch: pytest.MonkeyPatch, table: Table, width: int) -> list[str]:
    stream = io.StringIO()
    monkeypatch.setattr(output, "console", Console(file=stream, width=width, force_terminal=False))
    output.show(table)
    return stream.getvalue().splitlines()


def images_table(names: Sequence[str], of: str = "classify") -> Table:
    """The columns of a command, with cells as wide as they get."""
    if of == "classify":
        table = output.new_table(*classify_table._COLUMNS, classify_table._SEEN, caption="probability: of the class. " * 9)
        short = [("97.4 ± 12.1 %", "97.4"), ("+12.23 ± 10.42", "+12.23±10.42")]
        for name in names:
            sets, new = (
                ("malignant, normal or benign (abstained)", "abstains"),
                ("unlike the training images (p = 0.012)", "0.012 !"),
            )
            output.add_row(table, name, "normal or benign", *short, sets, new, "128", "train")
        return table
    table = output.new_table(*likelihood._COLUMNS)
    for name in names:
        output.add_row(table, name, "normal or benign", "-123456.78", "12.34", "12.345", "1024")
    return table


def compare_table() -> Table:
    measures = (
        "AUC",
        "spread over seeds",
        "accuracy",
        "balanced accuracy",
        "sensitivity, normal or benign",
        "AUC of Bayescope minus this",
    )
    table = output.new_table("method", "training images", *measures, "training, s", title="long title " * 20)
    for method in ("Bayescope", "efficientnet-b0", "densenet121"):
        output.add_row(table, method, "4708 (100 %)", *["0.912 (0.850 to 0.950)"] * 6, "1234")
    return table


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", ["classify", "likelihood"])
def test_one_line_an_image(monkeypatch: pytest.MonkeyPatch, width: int, command: str) -> None:
    lines = printed(monkeypatch, images_table(LONG, command), width)
    assert lines[0] == "In /data/the screening clinic of 2026/patients:"
    of_images = [line for line in lines[1:] if "MLO.png" in line]
    assert len(of_images) == len(LONG)
    assert len({line.replace("│", " ").split()[0] for line in of_images}) == len(LONG)
    assert max(map(cell_len, lines)) <= width
    assert all("nor" in line for line in of_images)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("table", [images_table(LONG), images_table(LONG, "likelihood"), compare_table()])
def test_no_word_of_a_head_is_broken(monkeypatch: pytest.MonkeyPatch, width: int, table: Table) -> None:
    lines = printed(monkeypatch, table, width)
    assert max(map(cell_len, lines)) <= width
    words = {word for line in lines for word in line.replace("┃", " ").split()}
    for column in table.columns:
        assert set(column.head.split()) <= words or set(column.short.split()) <= words, column.head


def test_columns_without_room_come_in_a_table_below(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(monkeypatch, compare_table(), 80)
    assert sum(line.startswith("efficientnet-b0") for line in lines) > 1
    assert sum(line.count("0.912 (0.850 to 0.950)") for line in lines) == 3 * 6
    assert sum(line.startswith("efficientnet-b0") for line in printed(monkeypatch, compare_table(), 400)) <= 1


@pytest.mark.parametrize("width", WIDTHS)
def test_many_classes_and_long_prose(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    names = [f"a class of a long name {k}" for k in range(14)]
    confusion = output.new_table(Column("true class", kind="label"), *(f"called {name}" for name in names))
    for name in names:
        output.add_row(confusion, name, *["123"] * len(names))
    decisions = output.new_table(Column("what", kind="prose"), "promised", Column("measured", kind="prose"))
    output.add_row(decisions, "answered", "", "none: no threshold keeps the risk as low as was asked for, " * 8)
    for table in (confusion, decisions):
        assert max(map(cell_len, printed(monkeypatch, table, width))) <= width
    assert " ".join(printed(monkeypatch, decisions, width)).count("threshold") == 8


def test_a_path_that_fits_stands_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any(line.startswith("In ") for line in printed(monkeypatch, images_table(["a/b.png"] * 2, "likelihood"), 200))
    assert fit(images_table(["a/b.png", "a/c/d.png"]), 300)[0] == "a"
    assert fit(images_table(["a.png", "a/b.png"]), 80)[0] == ""
    assert fit(images_table(["/a.png", "b.png"]), 80)[0] == ""
    assert fit(images_table(["/a.png", "/b.png"]), 80)[0] == ""


def test_start_and_end_of_a_name_are_kept() -> None:
    assert shorten_middle("breast_0004711_left_CC.png", 20) == "breast_…_left_CC.png"
    assert shorten_middle("short.png", 20) == "short.png"
    assert cell_len(shorten_middle("病" * 40, 21)) <= 21


@given(
    st.lists(st.text("ab病é", min_size=0, max_size=40), min_size=1, max_size=12, unique=True),
    st.integers(20, 30),
    st.sampled_from(["…", "..."]),
)
def test_names_stay_different(names: list[str], width: int, gap: str) -> None:
    found = shorten_all(names, width, gap)
    assert len(set(found)) == len(names)
    assert all(cell_len(name) <= width for name in found)
    assert all(short == name for short, name in zip(found, names, strict=True) if cell_len(name) <= width)


def test_names_that_differ_in_the_middle_only_stay_different() -> None:
    names = [f"{'a' * 30}{i:02d}{'z' * 30}" for i in range(20)] + [f"breast_{i:04d}_of_one_patient.png" for i in range(20)]
    found = shorten_all(names, 20)
    assert len(set(found)) == len(names)
    assert max(map(len, found)) == 20


def test_measures_of_other_observers(monkeypatch: pytest.MonkeyPatch) -> None:
    from bayescope.metrics.bootstrap import Estimate

    estimate = Estimate(0.912, 0.85, 0.95)
    table = evaluate.measures_table("title", {"balanced accuracy": estimate}, ideal_observer={"balanced accuracy": estimate})
    assert any("ideal observer" in line for line in printed(monkeypatch, table, 80))
