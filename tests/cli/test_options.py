"""Texts of options, as numbers: prevalences by name or in order, frames, warnings."""

import numpy as np
import pytest

from bayescope.cli.options import frame_from_text, prior_from_text, report_warnings
from bayescope.cli.output import add_row, format_values, new_table
from bayescope.errors import ConfigError, DataError

NAMES = ("benign", "a, b=c", "malignant")


@pytest.mark.parametrize(
    ("text", "expected"), [(None, None), ("all", "all"), ("1", 1), ("12", 12)], ids=["none", "all", "first", "twelfth"]
)
def test_a_frame_is_a_number_or_all(text: str | None, expected: object) -> None:
    assert frame_from_text(text) == expected


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "every", "²"])
def test_what_is_no_frame_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected a number from 1 on, or all"):
        frame_from_text(text)


@pytest.mark.parametrize(
    "text", ["malignant=0.2,benign=0.5,a, b=c=0.3", " benign = 0.5 , a, b=c = 0.3 ,malignant=0.2", "0.5,0.3,0.2"]
)
def test_prevalences_go_to_their_classes_and_are_told(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever their order, blanks beside the signs, and commas and equal signs within a name."""
    found = prior_from_text(text, NAMES)
    assert found is not None
    np.testing.assert_allclose(found, [0.5, 0.3, 0.2])
    told = capsys.readouterr()
    assert told.err == "prevalence: benign 0.5, a, b=c 0.3, malignant 0.2\n"
    assert told.out == ""


def test_no_prevalence_is_none_and_nothing_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert prior_from_text(None, NAMES) is None
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("benign=0.5,malignant=0.5", "no number for a, b=c"),
        ("benign=0.5,malignant=0.2,a, b=c=0.3,other=0", "'other=0' is no class with a number"),
        ("benign=half,malignant=0.2,a, b=c=0.3", "is no class with a number"),
        ("benign=0.5,benign=0.2,a, b=c=0.3", "gives benign twice"),
        ("0.5,half,0.2", "numbers separated by commas"),
        ("0.5,0.5", "2 prevalences; expected 3"),
        ("0.5,0.5,0.5", "sum to 1.5"),
        ("", "numbers separated by commas"),
    ],
)
def test_what_is_no_prevalence_is_refused_with_an_example_that_is_one(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        prior_from_text(text, NAMES)
    assert "prevalence:" not in capsys.readouterr().err
    if "e.g. " in str(refused.value):
        example = prior_from_text(str(refused.value).split("e.g. ")[1].strip('"'), NAMES)
        np.testing.assert_allclose(example, 1 / 3, atol=1e-3)


def test_warnings_are_told_or_with_strict_refused_all_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    report_warnings(["one", "", "two"])
    assert capsys.readouterr().err.splitlines() == ["warning: one", "warning: two"]
    report_warnings(iter(["one"]), strict=False)
    assert capsys.readouterr().err == "warning: one\n"
    with pytest.raises(DataError, match=r"^one; two\. With --strict"):
        report_warnings(["one", "", "two"], strict=True)
    report_warnings(["", ""], strict=True)
    assert capsys.readouterr().err == ""


def test_numbers_by_class_have_four_digits() -> None:
    assert format_values({"cancer": 0.0123456, "normal": 0.98765}) == "cancer 0.01235, normal 0.9877"


def test_columns_named_are_aligned_to_the_right_and_cells_may_have_a_short_form() -> None:
    table = new_table("name", "value", title="above", caption="below", right=("value",))
    assert [column.right for column in table.columns] == [False, True]
    assert (table.title, table.caption) == ("above", "below")
    add_row(table, "a", ("long form", "short"))
    assert [(cell.text.plain, cell.short.plain) for cell in table.rows[0]] == [("a", "a"), ("long form", "short")]
