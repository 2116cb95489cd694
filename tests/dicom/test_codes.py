"""Codes of classes and of what reports say: from the configuration, valid whatever the names, and all documented."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.sr.coding import Code

from bayescope.config import parse_config
from bayescope.dicom import codes as c
from bayescope.dicom import read_codes
from bayescope.errors import ConfigError

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "dicom.md").read_text()
OWN = [code for code in vars(c).values() if isinstance(code, Code) and code.scheme_designator == c.SCHEME]
MALIGNANT = '[dicom.codes.malignant]\nscheme = "SCT"\nvalue = "86049000"\nmeaning = "Malignant neoplasm, primary"\n'


@pytest.mark.parametrize("code", OWN, ids=lambda code: code.value)
def test_every_private_code_is_in_the_conformance_statement(code: Code) -> None:
    assert f"({code.value}, {code.scheme_designator}, {code.meaning})" in PAGE


@pytest.mark.parametrize("code", [*c.PROCEDURES.values(), c.IMAGING], ids=lambda code: code.meaning)
def test_every_procedure_is_in_the_conformance_statement(code: Code) -> None:
    assert code.value in PAGE
    assert code.meaning in PAGE


@given(st.text(min_size=1), st.text(min_size=1))
def test_private_codes_of_classes_are_valid_and_differ(one: str, other: str) -> None:
    first, second = (c.code_of_class(name, {}) for name in (one, other))
    assert len(first.value) <= 16
    assert 1 <= len(first.meaning) <= 64
    assert "\\" not in first.meaning
    assert first.meaning.isprintable()
    assert (first.value == second.value) == (one == other)


def test_codes_are_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "codes.toml").write_text(MALIGNANT)
    assert read_codes(tmp_path / "codes.toml", ("malignant", "benign")) == {
        "malignant": Code("86049000", "SCT", "Malignant neoplasm, primary")
    }


@pytest.mark.parametrize(
    ("key", "value"), [("scheme", "x" * 17), ("value", ""), ("meaning", "x" * 65), ("meaning", "a\\b"), ("meaning", "a\nb")]
)
def test_what_dicom_cannot_hold_is_refused(key: str, value: str) -> None:
    code = {"scheme": "SCT", "value": "86049000", "meaning": "Malignant"} | {key: value}
    with pytest.raises(ConfigError, match=f"dicom.codes.malignant.{key}: found"):
        parse_config({"dicom": {"codes": {"malignant": code}}})


def test_a_code_of_an_unknown_class_is_refused(tmp_path: Path) -> None:
    (tmp_path / "codes.toml").write_text(MALIGNANT)
    with pytest.raises(ConfigError, match="found malignant; expected classes of the model: ill, well"):
        read_codes(tmp_path / "codes.toml", ("ill", "well"))
