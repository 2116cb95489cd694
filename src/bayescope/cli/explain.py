"""``bayescope explain``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayescope.cli.classify import read_images
from bayescope.cli.options import Device, Prevalence, prior_from_text
from bayescope.cli.output import in_words, say, warn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bayescope.inference.model import LikelihoodModel
    from bayescope.types import Floats, Pixels


NAME = "explain"


def command(
    run: Annotated[Path, typer.Argument(help="Run folder of `bayescope train`.")],
    image: Annotated[Path, typer.Argument(help="Image file, as for `bayescope classify`; no folder.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures and the array, made if need be.")],
    frame: Annotated[str | None, typer.Option(help="Which frame of a DICOM file of several, counted from 1.")] = None,
    against: Annotated[
        str | None, typer.Option(help="Class to hold the most probable one against (default: the rest).")
    ] = None,
    prevalence: Prevalence = None,
    bans: Annotated[bool, typer.Option("--bans", help="In bans, powers of ten, instead of nats.")] = False,
    counterfactual: Annotated[bool, typer.Option("--counterfactual", help="Also the image as another class has it.")] = False,
    sigma: Annotated[float, typer.Option(help="How much a counterfactual may change: the level it is noised to.")] = 1.0,
    device: Device = "auto",
) -> None:
    """Show where in an image the evidence lies: a map whose pixels add up to the reported log-likelihood ratio.

    Written are the map with its outline (evidence.png, .npy), its fine and coarse halves (scales.png) and the map of every
    noise level (levels.npy, fine before coarse, without what belongs to no pixel, which evidence.npy spreads evenly).

    Example: bayescope explain runs/breast a.png --out why --counterfactual
    """
    import numpy as np

    from bayescope.errors import writing
    from bayescope.evaluation.report.explained import evidence_map, is_raw
    from bayescope.evaluation.report.overlay import overlay, scales
    from bayescope.runs.files import write_atomically
    from bayescope.runs.model_file import load_model

    model = load_model(run, device)
    prior = prior_from_text(prevalence, model.class_names)
    rival = None if against is None else _class(model, against)
    _check_one_image(image, frame)
    found_image = read_images(model, [image], frame)
    if not found_image.names:
        raise typer.Exit(1)
    pixels = found_image.pixels
    predictions = model.classify(pixels, prior, disagreement_rate=0.0)
    *_, second, first = predictions.log_posterior[0].argsort()
    _check_rival(model, int(first), rival)
    found = evidence_map(model, pixels, predictions, int(first), rival)
    unit, per_nat = ("bans", 1 / np.log(10)) if bans else ("nats", 1.0)
    total = found.scaled(per_nat).total[0]
    name = model.class_names[first]
    kind = "UNCALIBRATED log-likelihood ratio" if is_raw(model, rival) else "log-likelihood ratio"
    title = f"{name} against {against or 'the rest'}: {kind} {total.sum():+.4f} {unit}"
    prevalence = in_words(dict(zip(model.class_names, predictions.class_prior.tolist(), strict=True)))
    by_level = found.scaled(per_nat).levels[0]
    pictures = {
        "evidence.png": overlay(_picture(model, pixels), total, title, unit),
        "scales.png": scales(_halves(model, by_level), title, unit),
        "evidence.npy": _npy(total),
        "levels.npy": _npy(by_level),
    }
    if counterfactual:
        other = int(second) if rival is None else rival
        pictures["counterfactual.png"] = _counterfactual(model, pixels, int(first), other, sigma)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    stem = image.stem if frame is None else f"{image.stem}-frame{frame}"
    targets = {out / f"{stem}-{ending}": content for ending, content in pictures.items()}
    for target, content in targets.items():
        write_atomically(target, content)
    say(title)
    say(f"the rest mixed at prevalence {prevalence}" if against is None else f"at prevalence {prevalence}", style="dim")
    early = model.classify(pixels, prior)
    if against is None and early.mean_passes < predictions.mean_passes:
        ratio, error = per_nat * early.log_likelihood_ratio[0, first], per_nat * early.standard_error[0, first]
        say(f"(scored in full; `bayescope classify`, which stops early, tells {ratio:+.4f} ± {error:.4f} {unit})")
    for target in targets:
        say(str(target))
    warn(model.calibration.warning)


def _check_one_image(image: Path, frame: str | None) -> None:
    from bayescope.errors import ConfigError, DataError, reading

    with reading(image):
        is_folder = image.is_dir()
    if is_folder:
        raise DataError(f"{image}: a folder; expected one image. Give one of its files")
    if frame == "all":
        raise ConfigError("--frame all; expected the number of one frame, from 1 on. Explain one frame at a time")


def _class(model: LikelihoodModel, name: str) -> int:
    from bayescope.errors import ConfigError

    if name not in model.class_names:
        raise ConfigError(f"class {name!r}; expected one of: {', '.join(model.class_names)}")
    return model.class_names.index(name)


def _check_rival(model: LikelihoodModel, first: int, rival: int | None) -> None:
    from bayescope.errors import ConfigError

    if rival == first:
        others = ", ".join(name for k, name in enumerate(model.class_names) if k != first)
        raise ConfigError(
            f"--against {model.class_names[first]}: that is the most probable class itself; expected one of: {others}"
        )


def _halves(model: LikelihoodModel, by_level: Floats) -> dict[str, Floats]:
    """Maps of the finer and the coarser half of the noise levels, from one for each level."""
    sigmas, half = model.sigmas, len(by_level) // 2
    if not half:
        return {f"σ = {sigmas[0]:.2g}": by_level[0]}
    return {
        f"fine: σ {sigmas[0]:.2g} to {sigmas[half - 1]:.2g}": by_level[:half].sum(axis=0),
        f"coarse: σ {sigmas[half]:.2g} to {sigmas[-1]:.2g}": by_level[half:].sum(axis=0),
    }


def _picture(model: LikelihoodModel, pixels: Pixels) -> NDArray[np.uint8]:
    return model.scale.to_display(model.scale.to_model(pixels))[0]


def _counterfactual(model: LikelihoodModel, pixels: Pixels, own: int, other: int, sigma: float) -> bytes:
    import torch

    from bayescope.evaluation.report.overlay import comparison
    from bayescope.inference.explain import counterfactual

    x = model.checked(pixels)
    own_label, other_label = torch.tensor([own], device=x.device), torch.tensor([other], device=x.device)
    found = counterfactual(model.denoiser, x, own_label, other_label, sigma, seed=model.config.seed)
    display = model.scale.to_display
    pictures = {
        "image": _picture(model, pixels),
        f"as {model.class_names[own]}": display(found.reconstruction.float().cpu().numpy())[0],
        f"as {model.class_names[other]}": display(found.image.float().cpu().numpy())[0],
    }
    title = f"the same noise (σ = {sigma:g}) denoised as either class"
    return comparison(pictures, found.change[0].mean(dim=0).double().cpu().numpy(), title)


def _npy(array: Floats) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()
