"""A run folder on disk: written atomically, never pickled, read back exactly.

::

    config.toml        the configuration
    model.safetensors  weights (EMA) and image statistics; its metadata holds scale, classes, weights of the levels, ...
    state.safetensors  what training needs to go on
    run.json           format version, data source, fingerprint, notes
    images.parquet     hashes of the images and patients of each split, see :mod:`bayescope.training_record`
    metrics.jsonl      one line per validation
"""

import json
import os
import tempfile
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from bayescope.config import Config, dump_toml, read_config
from bayescope.data.images import PixelScale
from bayescope.data.intensity import Preparation
from bayescope.device import open_fabric
from bayescope.errors import RunError, reading, writing
from bayescope.image_statistics import ImageStatistics
from bayescope.model import LikelihoodModel
from bayescope.networks import build_denoiser
from bayescope.post_hoc import PostHoc

FORMAT = 6
CONFIG, MODEL, STATE, MANIFEST, METRICS, RECORD = (
    "config.toml",
    "model.safetensors",
    "state.safetensors",
    "run.json",
    "metrics.jsonl",
    "images.parquet",
)


def write_atomically(path: Path, content: bytes) -> None:
    """Write and flush beside ``path``, then rename: a reader sees the old file or the new, never a part."""
    with writing(path):
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 as :func:`write_atomically`; bytes of a file name that are no UTF-8 become escapes."""
    write_atomically(path, text.encode("utf-8", "backslashreplace"))


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file atomically; shared memory is copied."""
    own = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    write_atomically(path, save(own, metadata))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata.  Raises RunError if the file is missing or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise RunError(
            f"{path}: cannot be read ({error}); expected a file written by `bayescope train`. Restore it from a copy, or train "
            "again with --force"
        ) from None


def save_model(run: Path, model: LikelihoodModel) -> None:
    """Write ``config.toml`` and ``model.safetensors`` into the folder ``run``, made if need be."""
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
    }
    write_atomically(run / CONFIG, dump_toml(model.config).encode())
    save_tensors(run / MODEL, model.denoiser.state_dict(), {"bayescope": json.dumps(about)})


def load_model(run: Path, device: str = "cpu") -> LikelihoodModel:
    """The model of a run folder, on ``device``: cpu, cuda, or auto for a GPU if there is one.

    Raises RunError if there is none or it is damaged or of another version; ConfigError if the device is not there.
    """
    with reading(run, RunError):
        is_whole, is_folder = (run / MODEL).is_file(), run.is_dir()
    if not is_whole:
        reason = "training has not finished; continue it with `bayescope train … --resume`" if is_folder else "no folder"
        raise RunError(f"{run}: holds no {MODEL} ({reason}); expected a run folder written by `bayescope train`")
    tensors, metadata = load_tensors(run / MODEL)
    try:
        about = json.loads(metadata["bayescope"])
    except (KeyError, json.JSONDecodeError):
        raise RunError(
            f"{run / MODEL}: not written by Bayescope; expected a file of `bayescope train`. Restore it from a "
            "copy, or train again with --force"
        ) from None
    check_format(about.get("format"), run)
    config = read_config(run / CONFIG)
    place = open_fabric(Config(device=device)).device
    try:
        model = _model(config, tensors, about)
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{run}: {MODEL} does not fit {CONFIG} ({error}); expected the pair as it was written. Restore it from "
            "a copy, or train again with --force"
        ) from None
    model.denoiser.to(place)
    return model


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
        Preparation.from_dict(about["preparation"]) if about.get("preparation") else None,
    )


def check_format(found: object, run: Path) -> None:
    """Raise RunError unless ``found`` is the format this version reads."""
    if found != FORMAT:
        raise RunError(
            f"{run}: run folder of format {found}; this version of Bayescope reads format {FORMAT}. "
            "Open it with the version that wrote it, or train again with --force"
        )


def read_json(path: Path, remedy: str = "Restore it from a copy, or train again with another --out") -> dict[str, Any]:
    """Raises RunError, with the ``remedy``, if the file is missing or no JSON."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({error}); expected a file that Bayescope wrote. {remedy}") from None
    return content


def append_line(path: Path, record: dict[str, Any]) -> None:
    """Append one JSON line."""
    with writing(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All complete JSON lines; a last line cut short by a crash is passed over."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]
