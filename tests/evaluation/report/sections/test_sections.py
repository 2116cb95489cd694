"""Each section of the report by itself: its numbers are read back, and it is left out where there is nothing to show."""

import re
from dataclasses import replace

import pytest

from bayescope.evaluation.report.sections import SECTIONS, Section, cases, decisions, measures, post_test, samples, training
from report_data import context, evaluation, everything

FOUND, SHOWN = everything()


def cells(html: str | None) -> list[list[str]]:
    """The cells of each row of its tables, heads left out."""
    rows = re.findall(r"<tr>(<td>.*?)</tr>", html or "", flags=re.DOTALL)
    return [[re.sub(r"<.*?>", "", cell) for cell in re.findall(r"<td>(.*?)</td>", row, flags=re.DOTALL)] for row in rows]


@pytest.mark.parametrize("number", range(len(SECTIONS)))
def test_a_section_is_whole_and_escapes_what_users_name(number: int) -> None:
    html = SECTIONS[number](FOUND, SHOWN)
    assert html
    for tag in ("section", "table", "tr", "td", "div"):
        assert len(re.findall(rf"<{tag}[\s>]", html)) == html.count(f"</{tag}>")
    assert "<b>benign" not in re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)


@pytest.mark.parametrize("section", [decisions.section, cases.explanation, training.section])
def test_a_section_with_nothing_to_show_is_left_out(section: Section) -> None:
    plain = evaluation()
    assert section(FOUND, SHOWN)
    assert section(plain, context(plain, curve=[])) is None


def test_decisions_promised_and_measured() -> None:
    promised = [row[1:] for row in cells(decisions.section(FOUND, SHOWN))]
    assert promised == [["≥ 0.9", "0.950"], ["", "1.25"], ["", "0.875"], ["≤ 0.05", "0.025"]]
    assert FOUND.decisions
    warned = replace(FOUND, decisions=FOUND.decisions | {"warning": "too few images"})
    assert "too few images" in cells(decisions.section(warned, SHOWN))[-1][-1]


def test_every_measure_stands_with_its_interval() -> None:
    rows = {row[0]: row[1:] for row in cells(measures.section(FOUND, SHOWN))}
    assert rows["AUC"][:2] == ["0.9000", "0.8500 to 0.9600"]
    assert rows["log loss"][:2] == ["0.8000", "0.7500 to 0.8850"]
    assert rows["Cllr"] == ["0.3100", "0.2500 to 0.4000", "0.3000 (0.2000 to 0.3500)"]
    assert rows["malignant (positive)"][:2] == ["30", "0.750 (0.700 to 0.900)"]


def test_the_unit_of_intervals_is_the_patient_where_there_are_any() -> None:
    plain = evaluation()
    assert "interval over patients" in (measures.section(FOUND, SHOWN) or "")
    assert "interval over images" in (measures.section(plain, context(plain)) or "")


def test_the_slider_begins_with_the_positive_class() -> None:
    assert re.search(r'<option value="1" selected>malignant', post_test.section(FOUND, SHOWN))
    assert re.search(r'<option value="0" selected>&lt;b&gt;benign', post_test.section(evaluation(), SHOWN))


def test_samples_of_each_class_and_the_curve_of_training() -> None:
    html = samples.section(FOUND, SHOWN) or ""
    assert html.count("data:image/png") == SHOWN.samples.shape[0] * SHOWN.samples.shape[1]
    assert "<svg" in (training.section(FOUND, SHOWN) or "")
