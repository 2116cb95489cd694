"""Codes of what the objects say: of classes, from the configuration, and private ones (PS3.16 section 8.2) where none exist."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from bayescope.config import DicomConfig, read_config
from bayescope.errors import ConfigError

SCHEME = "99BAYESCOPE"
_LONGEST_MEANING = 64
NAT = Code("{nat}", "UCUM", "nat")
NO_UNITS = Code("1", "UCUM", "no units")
PROBABILITY = Code("122157", "DCM", "Probability")
LOG_LIKELIHOOD_RATIO = Code("LLR", SCHEME, "Log-likelihood ratio of the finding against the rest")
PREVALENCE = Code("PREVALENCE", SCHEME, "Prevalence assumed for the finding")
NOVELTY = Code("NOVELTY", SCHEME, "Probability of as unusual an image among familiar ones")
SHARE = Code("SHARE", SCHEME, "Share of an image in the log-likelihood ratio")
CORRELATION = Code("CORRELATION", SCHEME, "Correlation of the evidence of two images")
CALIBRATED = Code("CALIBRATED", SCHEME, "Likelihood ratio calibrated on held-out images")
ABSTAINED = Code("ABSTAINED", SCHEME, "Abstained: not sure enough to decide")
IN_SET = Code("SET", SCHEME, "Class in the prediction set")
RESEARCH_ONLY = "For research, not for diagnosis"

PROCEDURES = {
    "MG": Code("71651007", "SCT", "Mammography"),
    "US": Code("16310003", "SCT", "Diagnostic ultrasonography"),
    "CR": Code("168537006", "SCT", "Plain radiography"),
    "DX": Code("168537006", "SCT", "Plain radiography"),
}
"""Procedure reported, by Modality; ``IMAGING`` for others."""
IMAGING = Code("363679005", "SCT", "Imaging")
SIDES = {"L": Code("7771000", "SCT", "Left"), "R": Code("24028007", "SCT", "Right"), "B": Code("51440002", "SCT", "Bilateral")}


def yes_or_no(answer: bool | None) -> Code:
    """The code of an answer; None was not evaluated."""
    return codes.SCT.NotEvaluated if answer is None else codes.SCT.Yes if answer else codes.SCT.No


def coding_scheme() -> CodingSchemeIdentificationItem:
    """What the private codes belong to."""
    return CodingSchemeIdentificationItem(designator=SCHEME, name="Bayescope", responsible_organization="Bayescope")


def code_of_class(name: str, given: Mapping[str, Code]) -> Code:
    """The code ``given`` for a class, or else a private one that follows from its name."""
    return given.get(name) or code_about(name, "C", "{}")


def code_about(name: str, letter: str, meaning: str) -> Code:
    """A private code about a class; ``{}`` in its ``meaning`` is the name of the class."""
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return Code(f"{letter}{digest}", SCHEME, text_of(meaning.format(name))[:_LONGEST_MEANING].strip())


def text_of(text: str) -> str:
    """``text`` as one value in one line: no backslashes, which separate values, and no control characters."""
    return "".join(c if c.isprintable() and c != "\\" else " " for c in text).strip() or "-"


def class_codes(config: DicomConfig, class_names: Sequence[str]) -> dict[str, Code]:
    """Codes of classes by name, as configured.

    Parameters
    ----------
    config : DicomConfig
        The section ``[dicom]`` of a configuration.
    class_names : sequence of str
        Classes of the model.

    Returns
    -------
    dict of str to Code
        Of the classes that have a code.

    Raises
    ------
    ConfigError
        If a code is for a class that the model does not have.
    """
    if unknown := [name for name in config.codes if name not in class_names]:
        raise ConfigError(
            f"dicom.codes: found {', '.join(unknown)}; expected classes of the model: {', '.join(class_names)}. "
            "Correct the names"
        )
    return {name: Code(found.value, found.scheme, found.meaning) for name, found in config.codes.items()}


def read_codes(path: Path, class_names: Sequence[str]) -> dict[str, Code]:
    """Codes of classes from a TOML file with a table ``[dicom.codes.CLASS]`` for each.

    Parameters
    ----------
    path : Path
        The file; what else a configuration may hold is passed over.
    class_names : sequence of str
        Classes of the model.

    Returns
    -------
    dict of str to Code
        Of the classes that have a code.

    Raises
    ------
    ConfigError
        If the file cannot be read, or names a class that the model does not have.
    """
    return class_codes(read_config(path).dicom, class_names)
