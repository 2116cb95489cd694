"""The state of a run folder before training: free, incomplete, to be resumed, or to be replaced.

``run.json`` is the last file of a fresh folder. One without it, with nothing but ``config.toml``, ``images.parquet`` or
parts, was left by a run that was interrupted at its start. In a folder to be replaced it is always there, the old one and then
the new: interrupted at any time, the folder is recognised as a run, whatever else it contains.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bayescope.config import Config, dump_toml, read_config
from bayescope.data.dataset import Dataset
from bayescope.errors import RunError, reading, writing
from bayescope.inference.model import LikelihoodModel
from bayescope.runs.files import (
    CARD,
    CONFIG,
    MANIFEST,
    MEASURES,
    METRICS,
    MODEL,
    RECORD,
    REPORT,
    STATE,
    load_tensors,
    read_json,
    write_atomically,
)
from bayescope.runs.model_file import FORMAT, check_format, save_model
from bayescope.runs.training_record import TrainingRecord

_FILES = (CONFIG, MODEL, STATE, MANIFEST, METRICS, RECORD)
_PART = re.compile(rf"\.({'|'.join(map(re.escape, _FILES))})\.\w{{8}}")
"""What `write_atomically` is writing, or was when killed."""
_EXPORTED = tuple(f"model{suffix}{more}" for suffix in (".onnx", ".pt2") for more in ("", ".json", ".npy"))
"""Files of `bayescope export`."""
_TRAINED_BY = ("seed", "size", "precision", "net", "training")
"""What decides the weights; the rest says on what and how images are scored with them."""

_BESIDE = {"unlabelled": "images without labels", "init": "weights of another run"}
"""What a run may start from in addition to its data, kept as fingerprints under the names of the options."""

Manifest = dict[str, Any]


def manifest_of(data: Dataset, path: Path | None = None, init: str | None = None) -> Manifest:
    """The content of ``run.json``: the data, their location if ``path`` is given, and the weights ``init`` started from."""
    about: Manifest = {
        "format": FORMAT,
        "source": data.source,
        "fingerprint": data.fingerprint,
        "notes": list(data.notes),
        "warnings": list(data.warnings),
    }
    if data.files.found:
        about["files"] = data.files.to_dict()
    if data.unlabelled is not None:
        about["unlabelled"] = data.unlabelled.fingerprint()
    if init is not None:
        about["init"] = init
    return about if path is None else about | {"path": str(path.resolve())}


def read_manifest(run: Path) -> Manifest:
    """The content of ``run.json``; no more than the format if there is none.  Raises RunError if it is damaged."""
    return read_json(run / MANIFEST) if _has(run, MANIFEST) else {"format": FORMAT}


def training_data(run: Path) -> Path:
    """Location of the data that a run was trained on.  Raises RunError if the run does not record it."""
    manifest = read_manifest(run)
    if "path" not in manifest:
        source = manifest.get("source", "of unknown source")
        raise RunError(
            f"{run}: does not record where its data ({source}) are; expected a run of `bayescope train`. Give --data"
        )
    return Path(manifest["path"])


def read_record(run: Path) -> TrainingRecord | None:
    """Which images the run was trained on; None if it keeps no record.  Raises RunError if it is damaged."""
    return TrainingRecord.from_bytes((run / RECORD).read_bytes()) if _has(run, RECORD) else None


def save_run(
    run: Path, model: LikelihoodModel, manifest: Manifest, record: TrainingRecord | None = None, force: bool = False
) -> None:
    """Write a run folder of a trained model; ``force`` replaces a run.  Raises RunError as :func:`check_run`."""
    check_run(run, model.config, manifest, force=force)
    open_run(run, model.config, manifest, record, force=force)
    save_model(run, model)


def check_run(run: Path, config: Config, manifest: Manifest, resume: bool = False, force: bool = False) -> None:
    """Raise RunError unless :func:`open_run` may proceed with what ``run`` contains; changes nothing."""
    with reading(run, RunError):
        is_free, is_half_begun = _is_free(run), _is_half_begun(run)
    if resume and _has(run, MANIFEST):
        _check_same_run(run, config, manifest)
    elif not is_free and not resume and not force:
        raise RunError(f"{run}: exists already; give another --out, --resume to continue it, or --force to replace it")
    elif not is_free and not is_half_begun and (resume or not _is_run(run)):
        raise RunError(
            f"{run}: exists and is no run folder; --resume and --force are for folders of `bayescope train` only. "
            "Give another --out"
        )


def open_run(
    run: Path,
    config: Config,
    manifest: Manifest,
    record: TrainingRecord | None = None,
    resume: bool = False,
    force: bool = False,
) -> None:
    """Make the folder ready for training that :func:`check_run` let pass: made, continued, or replaced.

    ``record``: of the images it is trained on.  Continuing with other settings of scoring removes the model scored with
    the old ones, and what was measured of it; it is scored again at the end.
    """
    goes_on = resume and _has(run, MANIFEST)
    with writing(run):
        run.mkdir(parents=True, exist_ok=True)
        if force and not resume:
            _clear(run)
        for part in _parts(run):
            part.unlink()
        if goes_on and read_config(run / CONFIG) != config:
            for name in (MODEL, MEASURES, REPORT, *[CARD] * _has_card(run)):
                (run / name).unlink(missing_ok=True)
    write_atomically(run / CONFIG, dump_toml(config).encode())
    if record and not (goes_on and _has(run, RECORD)):
        write_atomically(run / RECORD, record.to_bytes())
    if not goes_on:
        _write_manifest(run, manifest)


def started_steps(run: Path) -> int:
    """Steps of the last checkpoint of ``run``; 0 without one.  Raises RunError if it is damaged."""
    if not _has(run, STATE):
        return 0
    tensors, _ = load_tensors(run / STATE)
    if "step" not in tensors:
        raise RunError(
            f"{run / STATE}: has no step; expected a checkpoint of `bayescope train`. Start the run again with --force"
        )
    return int(tensors["step"])


def _has(run: Path, name: str) -> bool:
    with reading(run, RunError):
        return (run / name).is_file()


def _is_free(run: Path) -> bool:
    return not run.exists() or (run.is_dir() and not any(run.iterdir()))


def _is_run(run: Path) -> bool:
    """Whether a manifest or a model in ``run`` is Bayescope's own."""
    try:
        if _has(run, MANIFEST):
            return "format" in read_json(run / MANIFEST)
        return _has(run, MODEL) and "bayescope" in load_tensors(run / MODEL)[1]
    except RunError:
        return False


def _clear(run: Path) -> None:
    """Take away what was written of the run, report and exports too, and nothing else.

    Configuration and manifest wait for the new.
    """
    if _has(run, MODEL):
        _write_manifest(run, read_manifest(run))  # a lone model has none, and is known by it no more once it is gone
    shutil.rmtree(run / "tensorboard", ignore_errors=True)
    written = [REPORT, MEASURES, *_EXPORTED, MODEL, STATE, METRICS, RECORD, *[CARD] * _has_card(run)]
    for name in written:
        (run / name).unlink(missing_ok=True)


def _has_card(run: Path) -> bool:
    """Whether there is a model card that Bayescope wrote, not a README of someone else's."""
    return _has(run, CARD) and b"library_name: bayescope" in (run / CARD).read_bytes()


def _write_manifest(run: Path, manifest: Manifest) -> None:
    write_atomically(run / MANIFEST, json.dumps(manifest, indent=2, default=str).encode())


def _is_half_begun(run: Path) -> bool:
    return run.is_dir() and {path.name for path in run.iterdir()} <= {CONFIG, RECORD, *(part.name for part in _parts(run))}


def _parts(run: Path) -> Iterator[Path]:
    return (path for path in list(run.iterdir()) if path.is_file() and _PART.fullmatch(path.name))


def _check_same_run(run: Path, config: Config, manifest: Manifest) -> None:
    found = read_json(run / MANIFEST)
    check_format(found.get("format"), run)
    if found.get("fingerprint") != manifest["fingerprint"]:
        source = found.get("source", "unknown data")
        raise RunError(
            f"{run}: was trained on {source} ({str(found.get('fingerprint'))[:12]}), now asked to continue with "
            f"{manifest['source']} ({str(manifest['fingerprint'])[:12]}); give the same data, or another --out"
        )
    for option, what in _BESIDE.items():
        if (begun_with := found.get(option)) != (now := manifest.get(option)):
            raise RunError(
                f"{run}: was started with {_named(what, begun_with)}, now asked to continue with {_named(what, now)}; "
                f"give the same --{option}, or another --out"
            )
    begun = read_config(run / CONFIG)
    if changed := [name for name in _TRAINED_BY if _deciding(begun, name) != _deciding(config, name)]:
        raise RunError(
            f"{run}: was started with another configuration of {', '.join(changed)}; continue with its {CONFIG}, where only "
            "device, devices, nodes, strategy, evidence, flow, training.accumulate and training.compile may change, or give "
            "another --out"
        )


def _deciding(config: Config, name: str) -> Any:
    """A section or setting that decides the weights, without what makes no difference to them."""
    found = getattr(config, name)
    return found.model_copy(update={"accumulate": 1, "compile": False}) if name == "training" else found


def _named(what: str, fingerprint: str | None) -> str:
    return f"no {what}" if fingerprint is None else f"{what} ({fingerprint[:12]})"
