"""From a labelled image set to a likelihood model: train, then choose the level weights on the validation split."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bayescope.calibration import Weighing, level_spacing
from bayescope.checkpoint import (
    CONFIG,
    FORMAT,
    MANIFEST,
    METRICS,
    STATE,
    append_line,
    check_format,
    load_tensors,
    read_json,
    read_lines,
    save_model,
    save_tensors,
    write_atomically,
    writing,
)
from bayescope.config import Config, dump_toml, read_config
from bayescope.data.images import Dataset, PixelScale
from bayescope.errors import RunError
from bayescope.model import LikelihoodModel
from bayescope.noise import log_spaced
from bayescope.shapes import Floats
from bayescope.training.loop import Progress, Watch, open_fabric, start, train
from bayescope.training.state import TrainingState


def fit(
    data: Dataset,
    config: Config,
    class_prior: Floats | None = None,
    watch: Watch = lambda progress: None,
    weighed: Callable[[int], None] = lambda images: None,
) -> LikelihoodModel:
    """Train in memory.  ``class_prior`` defaults to uniform; ``weighed`` hears of validation images done."""
    return _fit(data, config, class_prior, watch, weighed, None)


def fit_run(
    data: Dataset,
    config: Config,
    run: Path,
    resume: bool = False,
    checkpoint_every: int = 250,
    watch: Watch = lambda progress: None,
    weighed: Callable[[int], None] = lambda images: None,
    data_path: Path | None = None,
) -> LikelihoodModel:
    """Train in the run folder ``run`` with checkpoints; ``resume`` goes on after the last one, to the same weights.

    ``data_path`` is noted in the run folder, so that a report finds the data again.
    Raises RunError if the folder holds a run and ``resume`` is false, or one of other data, configuration or version.
    """
    manifest: dict[str, object] = {
        "format": FORMAT,
        "source": data.source,
        "fingerprint": data.fingerprint,
        "notes": list(data.notes),
    }
    if data_path is not None:
        manifest["path"] = str(data_path.resolve())
    if resume and (run / MANIFEST).exists():
        _check_same_run(run, config, manifest)
    else:
        open_run(run, config, manifest)
    return _fit(data, config, None, watch, weighed, _Keeper(run, checkpoint_every))


def open_run(run: Path, config: Config, manifest: dict[str, object]) -> None:
    """Make a fresh run folder.  Raises RunError if ``run`` is there and not empty."""
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise RunError(f"{run}: exists already; give another --out, --resume to continue it, or --force to replace it")
    with writing(run):
        run.mkdir(parents=True, exist_ok=True)
    write_atomically(run / CONFIG, dump_toml(config).encode())
    write_atomically(run / MANIFEST, json.dumps(manifest, indent=2).encode())


def started_steps(run: Path) -> int:
    """Steps that the last checkpoint of ``run`` holds; 0 without one."""
    return int(load_tensors(run / STATE)[0]["step"]) if (run / STATE).exists() else 0


class _Keeper:
    """Keeps a run folder up to date: metrics at each validation, training state every so many steps."""

    def __init__(self, run: Path, every: int) -> None:
        self.run, self.every = run, every

    def restore(self, state: TrainingState) -> None:
        if (self.run / STATE).exists():
            state.restore(load_tensors(self.run / STATE)[0])
        lines = [line for line in read_lines(self.run / METRICS) if line["step"] <= state.step]
        write_atomically(self.run / METRICS, "".join(json.dumps(line) + "\n" for line in lines).encode())

    def __call__(self, progress: Progress) -> None:
        step = progress.state.step
        if progress.validation is not None:
            record = {
                "step": step,
                "denoising_loss": progress.losses.denoising.item(),
                "evidence_loss": progress.losses.evidence.item(),
                "val_denoising_loss": progress.validation.denoising.item(),
                "val_evidence_loss": progress.validation.evidence.item(),
            }
            append_line(self.run / METRICS, {k: (v if v == v else None) for k, v in record.items()})
        if step % self.every == 0 or step == progress.steps:
            save_tensors(self.run / STATE, progress.state.tensors())


def _fit(
    data: Dataset,
    config: Config,
    class_prior: Floats | None,
    watch: Watch,
    weighed: Callable[[int], None],
    keeper: _Keeper | None,
) -> LikelihoodModel:
    scale = PixelScale.of(data.train.pixels)
    fabric = open_fabric(config)
    state = start(config, data.train, scale, fabric)
    if keeper:
        keeper.restore(state)

    def after_step(progress: Progress) -> None:
        if keeper:
            keeper(progress)
        watch(progress)

    train(state, config, data.train, data.val, scale, fabric, after_step)
    settings = config.evidence
    sigmas = log_spaced(settings.sigma_min, settings.sigma_max, settings.levels).double().numpy()
    n_classes = data.n_classes
    prior = np.full(n_classes, 1 / n_classes) if class_prior is None else class_prior
    unweighted = Weighing(level_spacing(sigmas), np.zeros(n_classes))
    model = LikelihoodModel(config, state.ema, scale, data.class_names, prior, unweighted, preparation=data.preparation)
    model = model.calibrated(data.val, weighed)
    if keeper:
        save_model(keeper.run, model)
    return model


def _check_same_run(run: Path, config: Config, manifest: dict[str, object]) -> None:
    found = read_json(run / MANIFEST)
    check_format(found.get("format"), run)
    if found.get("fingerprint") != manifest["fingerprint"]:
        raise RunError(
            f"{run}: was trained on {found.get('source')} ({str(found.get('fingerprint'))[:12]}), now asked to go on with "
            f"{manifest['source']} ({str(manifest['fingerprint'])[:12]}); give the same data, or another --out"
        )
    if read_config(run / CONFIG) != config:
        raise RunError(f"{run}: was started with another configuration; go on with its {CONFIG}, or give another --out")
