"""``bayescope explain``."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayescope.cli.classify import read_images
from bayescope.cli.options import Device, Prevalence, prior_from_text
from bayescope.cli.output import say, warn
from bayescope.model import LikelihoodModel
from bayescope.shapes import Floats, Pixels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bayescope.answers import Answers
    from bayescope.explain import EvidenceMap

NAME = "explain"


def command(
    run: Annotated[Path, typer.Argument(help="Run folder of `bayescope train`.")],
    image: Annotated[Path, typer.Argument(help="Image file, as for `bayescope classify`.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures and the array, made if need be.")],
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

    Example: bayescope explain runs/breast a.png --out why --counterfactual
    """
    import numpy as np

    from bayescope.checkpoint import load_model, write_atomically, writing
    from bayescope.report.overlay import overlay

    model = load_model(run, device)
    prior = prior_from_text(prevalence, model.class_names)
    rival = None if against is None else _class(model, against)
    paths, pixels = read_images(model, [image])
    if not paths:
        raise typer.Exit(1)
    answers = model.classify(pixels, prior, error_rate=0.0)
    *_, second, first = answers.log_posterior[0].argsort()
    _check_rival(model, int(first), rival)
    found = evidence_map(model, pixels, answers, int(first), rival)
    unit, per_nat = ("bans", 1 / np.log(10)) if bans else ("nats", 1.0)
    total = found.scaled(per_nat).total[0]
    name = model.class_names[first]
    title = f"{name} against {against or 'the rest'}: log-likelihood ratio {total.sum():+.4f} {unit}"
    pictures = {"evidence.png": overlay(_picture(model, pixels), total, title, unit), "evidence.npy": _npy(total)}
    if counterfactual:
        other = int(second) if rival is None else rival
        pictures["counterfactual.png"] = _counterfactual(model, pixels, int(first), other, sigma)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    say(title)
    for ending, content in pictures.items():
        write_atomically(out / f"{image.stem}-{ending}", content)
        say(str(out / f"{image.stem}-{ending}"))
    warn(model.calibration.warning)


def evidence_map(
    model: LikelihoodModel, pixels: Pixels, answers: "Answers", of: int, against: int | None = None, image: int = 0
) -> "EvidenceMap":
    """Of one image ``(1, channel, height, width)``, number ``image`` of the answers, for class ``of``; adds up to its ratio.

    A monotone calibration is no sum over pixels: what it adds to the raw ratio is spread evenly, and a ratio of two among
    several classes stays raw.
    """
    from bayescope.likelihood_ratio import RatioCalibration

    maps = model.evidence_maps(pixels)
    if against is not None and len(model.class_names) > 2:
        return maps.between(of, against)
    found = maps.against_rest(of, answers.class_prior)
    if not isinstance(model.calibration, RatioCalibration):
        return found
    gain = answers.log_likelihood_ratio[image, of] - answers.raw_log_likelihood_ratio[image, of]
    return found.scaled(1.0, float(gain))


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


def _picture(model: LikelihoodModel, pixels: Pixels) -> "NDArray[np.uint8]":
    return model.scale.to_display(model.scale.to_model(pixels))[0]


def _counterfactual(model: LikelihoodModel, pixels: Pixels, own: int, other: int, sigma: float) -> bytes:
    import torch

    from bayescope.explain import counterfactual
    from bayescope.report.overlay import comparison

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
