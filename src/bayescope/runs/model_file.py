"""A trained model as ``model.safetensors`` and ``config.toml``, loaded without importing training code."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from bayescope.config import Config, dump_toml, read_config
from bayescope.data.pixel_scale import PixelScale
from bayescope.data.preparation.mammogram import Preparation
from bayescope.diffusion.image_statistics import ImageStatistics
from bayescope.diffusion.networks import build_denoiser
from bayescope.diffusion.scoring_device import scoring_device
from bayescope.errors import RunError, reading, writing
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.post_hoc import PostHoc
from bayescope.runs.files import CONFIG, MODEL, load_metadata, load_tensors, save_tensors, write_atomically

FORMAT = 7


def save_model(run: Path, model: LikelihoodModel) -> None:
    """Write ``config.toml`` and ``model.safetensors`` into the folder ``run``, created if missing."""
    with writing(run):
        run.mkdir(parents=True, exist_ok=True)
    about = {
        "format": FORMAT,
        "scale": [end for end in astuple(model.scale) if end is not None],
        "pixel_type": model.pixel_type,
        "class_names": list(model.class_names),
        "class_prior": model.class_prior.tolist(),
        "post_hoc": model.post_hoc.to_dict(),
        "preparation": model.preparation.to_dict() if model.preparation else None,
        "sizing": model.sizing,
    }
    write_atomically(run / CONFIG, dump_toml(model.config).encode())
    save_tensors(run / MODEL, model.denoiser.state_dict(), {"bayescope": json.dumps(about)})


def load_model(run: Path, device: str = "cpu") -> LikelihoodModel:
    """Load the model of a run folder.

    Parameters
    ----------
    run : Path
        Folder written by ``bayescope train`` or :meth:`ScoreClassifier.save`.
    device : str, default "cpu"
        ``"cpu"``, ``"cuda"``, or ``"auto"`` for a GPU if there is one.

    Returns
    -------
    LikelihoodModel
        The trained model.

    Raises
    ------
    RunError
        If the folder contains no model, or one that is damaged or of another version.
    ConfigError
        If the device is not available.

    Examples
    --------
    >>> model = load_model(Path("runs/breast"))  # doctest: +SKIP
    """
    _check_trained(run)
    tensors, metadata = load_tensors(run / MODEL)
    about = _about(run, metadata)
    config = read_config(run / CONFIG)
    place = scoring_device(device)
    with _consistent(run):
        model = _model(config, tensors, about)
    model.denoiser.to(place)
    return model


def model_fingerprint(run: Path) -> str:
    """SHA-256 of weights and configuration, 64 hexadecimal digits.  Raises RunError if they cannot be read."""
    with reading(run, RunError):
        parts = [hashlib.sha256((run / name).read_bytes()).digest() for name in (MODEL, CONFIG)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def read_class_names(run: Path) -> tuple[str, ...]:
    """Names of the classes of the model of a run folder, without loading the model.  Raises RunError as :func:`load_model`."""
    _check_trained(run)
    about = _about(run, load_metadata(run / MODEL))
    with _consistent(run):
        return tuple(about["class_names"])


def _check_trained(run: Path) -> None:
    with reading(run, RunError):
        is_whole, is_folder = (run / MODEL).is_file(), run.is_dir()
    if not is_whole:
        reason = "training has not finished; continue it with `bayescope train … --resume`" if is_folder else "no folder"
        raise RunError(f"{run}: has no {MODEL} ({reason}); expected a run folder written by `bayescope train`")


def _about(run: Path, metadata: dict[str, str]) -> dict[str, Any]:
    """What is saved with the weights, in the format of this version."""
    try:
        about: dict[str, Any] = json.loads(metadata["bayescope"])
    except (KeyError, json.JSONDecodeError):
        raise RunError(
            f"{run / MODEL}: not written by Bayescope; expected a file of `bayescope train`. Restore it from a "
            "copy, or train again with --force"
        ) from None
    check_format(about.get("format"), run)
    return about


@contextmanager
def _consistent(run: Path) -> Iterator[None]:
    """Turn errors over what the model file says into a RunError."""
    try:
        yield
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{run}: {MODEL} does not fit {CONFIG} ({error}); expected the pair as it was written. Restore it from "
            "a copy, or train again with --force"
        ) from None


def _model(config: Config, tensors: dict[str, Tensor], about: dict[str, Any]) -> LikelihoodModel:
    statistics = ImageStatistics.blank(tuple(tensors["mean"].shape), len(about["class_names"]))
    denoiser = build_denoiser(statistics, config.net)
    denoiser.load_state_dict(tensors)
    scale = PixelScale(*about["scale"])
    return LikelihoodModel(
        config,
        denoiser.requires_grad_(False).eval(),
        scale,
        about["pixel_type"],
        tuple(about["class_names"]),
        np.array(about["class_prior"]),
        PostHoc.from_dict(about["post_hoc"]),
        preparation=Preparation.from_dict(about["preparation"]) if about.get("preparation") else None,
        sizing=about.get("sizing"),
    )


def check_format(found: object, run: Path) -> None:
    """Raise RunError unless ``found`` is the format this version reads."""
    if found != FORMAT:
        raise RunError(
            f"{run}: run folder of format {found}; this version of Bayescope reads format {FORMAT}. "
            "Open it with the version that wrote it, or train again with --force"
        )
