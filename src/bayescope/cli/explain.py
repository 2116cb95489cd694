"""``bayescope explain``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayescope.cli.classify import read_images
from bayescope.cli.dicom_objects import Codes, codes_of_objects, write_evidence
from bayescope.cli.options import Device, Prevalence, Resize, prior_from_text
from bayescope.cli.output import format_values, say, warn

if TYPE_CHECKING:
    from bayescope.inference.explain import Explanation, Unit
    from bayescope.inference.model import LikelihoodModel

NAME = "explain"


def command(
    run: Annotated[Path, typer.Argument(help="Run folder of `bayescope train`.")],
    image: Annotated[Path, typer.Argument(help="Image file, as for `bayescope classify`; no folder.")],
    out: Annotated[Path, typer.Option(help="Folder for the images and the array, created if missing.")],
    frame: Annotated[str | None, typer.Option(help="Which frame of a DICOM file of several, counted from 1.")] = None,
    against: Annotated[
        str | None, typer.Option(help="Class to compare the most probable one with (default: the rest).")
    ] = None,
    prevalence: Prevalence = None,
    bans: Annotated[bool, typer.Option("--bans", help="In bans, powers of ten, instead of nats.")] = False,
    counterfactual: Annotated[bool, typer.Option("--counterfactual", help="Also the image as another class has it.")] = False,
    sigma: Annotated[float, typer.Option(help="How much a counterfactual may change: the level it is noised to.")] = 1.0,
    resize: Resize = False,
    dicom: Annotated[
        Path | None,
        typer.Option(help="Also write the map of a DICOM image, as Secondary Capture and Segmentation, to this folder."),
    ] = None,
    codes: Codes = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files of --dicom whose content differs.")] = False,
    device: Device = "auto",
) -> None:
    """Show where in an image the evidence is: a map whose pixels add up to the reported log-likelihood ratio.

    Written are the map with its outline (evidence.png, .npy), its fine and coarse halves (scales.png) and the map of every
    noise level (levels.npy, fine before coarse, without what belongs to no pixel, which evidence.npy spreads evenly).

    Example: bayescope explain runs/breast a.png --out why --counterfactual

    Example: bayescope explain runs/mammography a.dcm --out why --dicom objects
    """
    from bayescope.data.formats.dicom.file import check_is_dicom
    from bayescope.errors import writing
    from bayescope.evaluation.explanation_files import explanation_files
    from bayescope.inference.explain import explain
    from bayescope.runs.files import write_atomically
    from bayescope.runs.model_file import load_model

    model = load_model(run, device)
    prior = prior_from_text(prevalence, model.class_names)
    _check_one_image(image, frame)
    class_codes = codes_of_objects(model, dicom, codes, "--dicom")
    if dicom is not None:
        check_is_dicom(image)
    found_image = read_images(model, [image], frame, resize)
    if not found_image.names:
        raise typer.Exit(1)
    found = explain(model, found_image.pixels, prior, against, sigma if counterfactual else None)
    unit: Unit = "bans" if bans else "nats"
    files = explanation_files(model, found, unit)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    stem = image.stem if frame is None else f"{image.stem}-frame{frame}"
    targets = {out / f"{stem}-{ending}": content for ending, content in files.items()}
    for target, content in targets.items():
        write_atomically(target, content)
    objects = [] if dicom is None else write_evidence(run, model, found_image, found, class_codes, dicom, force)
    _print(model, found, unit)
    for target in (*targets, *objects):
        say(str(target))
    warn(model.calibration.warning)


def _print(model: LikelihoodModel, found: Explanation, unit: Unit) -> None:
    """The ratio that the map adds up to, at which prevalence, and what `bayescope classify` says of the image."""
    from bayescope.inference.explain import PER_NAT

    scored_in_full, winner = found.predictions, found.winner
    prevalence = f"prevalence {format_values(model.by_class(scored_in_full.class_prior))}"
    say(found.title(unit))
    say(f"the rest mixed at {prevalence}" if found.against is None else f"at {prevalence}", style="dim")
    early = model.classify(found.pixels, scored_in_full.class_prior)
    if found.against is None and early.mean_passes < scored_in_full.mean_passes:
        ratio, error = (PER_NAT[unit] * of[0, winner] for of in (early.log_likelihood_ratio, early.standard_error))
        say(f"(scored in full; `bayescope classify`, which stops early, gives {ratio:+.4f} ± {error:.4f} {unit})")


def _check_one_image(image: Path, frame: str | None) -> None:
    from bayescope.errors import ConfigError, DataError, reading

    with reading(image):
        is_folder = image.is_dir()
    if is_folder:
        raise DataError(f"{image}: a folder; expected one image. Give one of its files")
    if frame == "all":
        raise ConfigError("--frame all; expected the number of one frame, from 1 on. Explain one frame at a time")
