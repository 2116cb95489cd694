"""Names that differ in spelling only are one name; all others stay apart."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayescope.data.tables.spelling import describe_rows, unify
from bayescope.errors import DataError


@pytest.mark.parametrize(
    "spellings",
    [("benign", "Benign", "BENIGN"), ("in situ", "insitu", "in  situ"), ("1", "1.0", "01", "1e0"), ("Stra\u00dfe", "STRASSE")],
)
def test_one_name(spellings: tuple[str, ...]) -> None:
    values, note = unify([spellings[0], *spellings], "classes", "set", normalise=True)
    assert set(values) == {spellings[0]}
    assert all(repr(other) in note for other in spellings[1:])
    with pytest.raises(DataError, match="classes that differ in spelling only"):
        unify(spellings, "classes", "set", normalise=False)


def test_accents_composed_or_not_are_one_name() -> None:
    names = [unicodedata.normalize(form, "b\u00f6sartig") for form in ("NFC", "NFD")]
    assert len(set(unify(names, "classes", "set", normalise=True)[0])) == 1


@pytest.mark.parametrize(
    "names", [("1", "10"), ("1", "-1"), ("nan", "NA"), ("grade 1", "grade 2"), ("P 1", "P 11"), ("1.0", "1.05")]
)
def test_two_names(names: tuple[str, ...]) -> None:
    assert unify(names, "classes", "set", normalise=False) == (list(names), "")


@pytest.mark.slow
@given(st.lists(st.text(min_size=1, max_size=6), max_size=12))
def test_unified_names_need_no_unifying(names: list[str]) -> None:
    values, note = unify(names, "classes", "set", normalise=True)
    assert unify(values, "classes", "set", normalise=False) == (values, "")
    assert bool(note) == (values != names)
    assert set(values) <= set(names)


def test_at_most_five_rows_are_listed() -> None:
    assert describe_rows([4]) == "row 4"
    assert describe_rows([2, 3]) == "rows 2, 3"
    assert describe_rows(range(2, 9)) == "rows 2, 3, 4, 5, 6 \u2026 and 2 more"
