"""What the commands that write DICOM objects share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayescope.cli.output import complain
from bayescope.cli.progress import bar

if TYPE_CHECKING:
    from pydicom.sr.coding import Code

    from bayescope.inference.explain import Explanation
    from bayescope.inference.groups import GroupPredictions
    from bayescope.inference.model import LikelihoodModel
    from bayescope.inference.read import ModelInput

Codes = Annotated[
    Path | None,
    typer.Option(
        help="TOML file of codes of the classes: scheme, value and meaning in a table dicom.codes.CLASS each (default: those "
        "in the run's config.toml)."
    ),
]
_QUIET = 20
"""Reports that are written in less than two seconds."""


def codes_of_objects(
    model: LikelihoodModel, folder: Path | None, codes: Path | None, option: str, from_cache: bool = False
) -> Mapping[str, Code]:
    """Codes of the classes, where ``option`` asks for objects in ``folder``.

    Raises ConfigError if there can be no objects, or ``codes`` are given without need.
    """
    from bayescope.errors import ConfigError

    if folder is None:
        if codes is not None:
            raise ConfigError(f"--codes without {option}; expected both. Add {option}, or leave --codes out")
        return {}
    if from_cache:
        raise ConfigError(
            f"{option} with a cache, which holds no DICOM headers; expected DICOM files. Give the files themselves"
        )
    from bayescope.dicom import check_takes_dicom, class_codes, read_codes

    check_takes_dicom(model)
    names = model.class_names
    return class_codes(model.config.dicom, names) if codes is None else read_codes(codes, names)


def write_reports_of(
    run: Path, found: ModelInput, records: list[dict[str, Any]], codes: Mapping[str, Code], folder: Path, force: bool
) -> bool:
    """Write a report of each image, with a progress bar; says of which there is none and why.  Whether there is one of each."""
    from bayescope.dicom import ModelIdentity, write_reports

    with bar("writing reports", len(found), quiet=len(found) < _QUIET) as advance:
        missing = list(write_reports(found, records, ModelIdentity.of(run), codes, folder, force, advance))
    for reason in missing:
        complain(f"no report: {reason}")
    return not missing


def write_group_reports_of(
    run: Path,
    found: ModelInput,
    groups: GroupPredictions,
    records: list[dict[str, Any]],
    codes: Mapping[str, Code],
    folder: Path,
    force: bool,
) -> bool:
    """Write a report of each group of several images; says of which there is none and why.  Whether there is one of each."""
    from bayescope.dicom import ModelIdentity, write_group_reports

    missing = list(write_group_reports(found, groups, records, ModelIdentity.of(run), codes, folder, force))
    for reason in missing:
        complain(f"no report: {reason}")
    return not missing


def write_evidence(
    run: Path,
    model: LikelihoodModel,
    found: ModelInput,
    explanation: Explanation,
    codes: Mapping[str, Code],
    folder: Path,
    force: bool,
) -> list[Path]:
    """Write the evidence map of the one image that was read: the files."""
    from bayescope.dicom import ModelIdentity, evidence_objects, write_objects

    (path,), (frame,), (preparation,) = found.paths, found.frames, found.preparations
    assert preparation is not None
    assert model.preparation is not None
    identity, window = ModelIdentity.of(run), model.preparation.window
    objects = evidence_objects(path, explanation, preparation, identity, codes, frame, window)
    return write_objects(objects, folder, force)
