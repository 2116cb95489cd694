"""Settings of the DICOM objects that carry predictions."""

from pydantic import Field, field_validator

from bayescope.config.section import Section


class DicomCode(Section):
    """A code of a public scheme, for instance SNOMED CT (`SCT`) or RadLex (`RADLEX`)."""

    scheme: str = Field(min_length=1, max_length=16, description="Coding Scheme Designator (PS3.16 section 8).")
    value: str = Field(min_length=1, max_length=64, description="Code Value.")
    meaning: str = Field(min_length=1, max_length=64, description="Code Meaning.")

    @field_validator("scheme", "value", "meaning")
    @classmethod
    def _one_value(cls, text: str) -> str:
        if "\\" in text or not text.isprintable() or text != text.strip():
            raise ValueError("text in one line, without backslashes and blanks at either end")
        return text


class DicomConfig(Section):
    """How predictions are written as DICOM objects."""

    codes: dict[str, DicomCode] = Field(
        {},
        description="A table for each class: `scheme`, `value` and `meaning` of the code that names it. A class without one is "
        "named by a private code.",
    )

    def __hash__(self) -> int:
        return hash(tuple(self.codes.items()))
