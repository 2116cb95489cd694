"""Fits a likelihood model to a labelled image set: training, then calibration on the validation split."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from lightning_fabric import Fabric

from bayescope.calibration import NONE
from bayescope.config import Config, TrainingConfig
from bayescope.data.dataset import Dataset
from bayescope.data.pixel_scale import PixelScale
from bayescope.diffusion.device import check_started_alone, join_processes, other_processes
from bayescope.diffusion.schedules import log_spaced
from bayescope.errors import lookup
from bayescope.evidence.level_weights_fit import LEVEL_WEIGHTS
from bayescope.evidence.sequential import check_stopping_settings
from bayescope.fitting.post_hoc import calibrated
from bayescope.fitting.words import check_words
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.post_hoc import PostHoc
from bayescope.runs.files import METRICS, STATE, append_line, load_tensors, read_lines, save_tensors, write_atomically
from bayescope.runs.folder import check_run, manifest_of, open_run
from bayescope.runs.model_file import save_model
from bayescope.runs.training_record import TrainingRecord
from bayescope.training.augmentation import Augment, build_augmentation
from bayescope.training.initial import start_from, weights_fingerprint
from bayescope.training.loop import Progress, Watch, divergence_error, start, train
from bayescope.training.sampler import seeded
from bayescope.training.state import TrainingState
from bayescope.types import Floats

_INIT = 6
"""Of the generators of a seed; those before are of ``training/loop``."""


def fit(
    data: Dataset,
    config: Config,
    class_prior: Floats | None = None,
    watch: Watch = lambda progress: None,
    scored: Callable[[int], None] = lambda images: None,
    init: LikelihoodModel | None = None,
) -> LikelihoodModel:
    """Train in memory, from the network of ``init`` if given.

    ``class_prior`` defaults to uniform; ``scored`` is called with images done, :func:`images_to_score` in all.

    A class without validation images leaves levels their plain weights and ratios uncalibrated.  Raises, before the first
    step, ConfigError if a word of the configuration does not exist, the device is not there, ``max_passes`` too few, ``init``
    of another network, or the network without what the configuration asks of it; RunError if training diverges.
    """
    fabric = join_processes(config)
    with other_processes(fabric):
        training = _Training.ready(data, config, init, fabric)
        training.run(watch)
        return training.model(class_prior, scored)


def calibration_augmentation(config: Config, n_train: int) -> Augment | None:
    """How copies of validation images are to be changed; None if there are to be none, or nothing is fitted to them."""
    training, evidence = config.training, config.evidence
    if not lookup(LEVEL_WEIGHTS, evidence.level_weights, "evidence.level_weights").is_fitted and evidence.calibration == NONE:
        return None
    return build_augmentation(training.augmentation, n_train, training.intensity, evidence.calibration_augmentation)


def images_to_score(data: Dataset, config: Config) -> int:
    """Number of validation images and their copies, the total for ``scored``."""
    return len(data.val) * (1 if calibration_augmentation(config, len(data.train)) is None else 2)


def fit_run(
    data: Dataset,
    config: Config,
    run: Path,
    resume: bool = False,
    checkpoint_every: int = 250,
    watch: Watch = lambda progress: None,
    scored: Callable[[int], None] = lambda images: None,
    data_path: Path | None = None,
    force: bool = False,
    init: LikelihoodModel | None = None,
) -> LikelihoodModel:
    """Train a model in a run folder, with checkpoints.

    Parameters
    ----------
    data : Dataset
        Training and validation images.
    config : Config
        The configuration.
    run : Path
        Folder to write.
    resume : bool, default False
        Whether to continue from the last checkpoint; the weights are those of an uninterrupted run.
    checkpoint_every : int, default 250
        Steps between checkpoints.
    watch : callable, optional
        Called with the progress after every step.
    scored : callable, optional
        Called with the number of validation images scored, :func:`images_to_score` in all.
    data_path : Path, optional
        Stored in the run folder, so that a report finds the data again.
    force : bool, default False
        Whether to replace a run; nothing is deleted before the new one is ready to start.
    init : LikelihoodModel, optional
        Model whose network training starts from (default: random weights).

    Returns
    -------
    LikelihoodModel
        The trained model, as saved.

    Raises
    ------
    ConfigError
        As for :func:`fit`.
    RunError
        If training diverges; if the folder contains a run and neither ``resume`` nor ``force`` is given, a run of other data,
        configuration or version to resume, or anything else.

    Examples
    --------
    >>> fit_run(load_dataset(Path("breastmnist.npz")), Config(), Path("runs/breast"))  # doctest: +SKIP
    """
    check_started_alone(config)
    fabric = join_processes(config)
    with other_processes(fabric):
        manifest = manifest_of(data, data_path, None if init is None else weights_fingerprint(init.denoiser))
        check_run(run, config, manifest, resume, force)
        training = _Training.ready(data, config, init, fabric)
        fabric.barrier()  # all have checked before anything is written
        if not fabric.is_global_zero:
            training.run(watch)
            return training.model(None, scored)
        open_run(run, config, manifest, TrainingRecord.of(data), resume, force)
        checkpoints = _CheckpointWriter(run, checkpoint_every, config.training)
        checkpoints.restore(training.state)

        def after_step(progress: Progress) -> None:
            checkpoints(progress)
            watch(progress)

        training.run(after_step)
        model = training.model(None, scored)
        save_model(run, model)
        return model


@dataclass(frozen=True)
class _Training:
    """All that training needs, ready to start: what can be refused was refused."""

    data: Dataset
    config: Config
    scale: PixelScale
    fabric: Fabric
    state: TrainingState

    @classmethod
    def ready(cls, data: Dataset, config: Config, init: LikelihoodModel | None, fabric: Fabric) -> Self:
        check_words(config)
        check_stopping_settings(config.evidence.disagreement_rate, config.evidence.max_passes, data.n_classes)
        scale = PixelScale.of(data.train.pixels)
        state = start(config, data.train, scale, fabric)
        if init is not None:
            known = init.denoiser, init.class_names
            start_from(state.denoiser, data.class_names, *known, seeded(config.seed, _INIT))
            state.average_from_here()
        return cls(data, config, scale, fabric, state)

    def run(self, callback: Watch) -> None:
        data = self.data
        self.state.take_over_first(self.fabric)
        train(self.state, self.config, data.train, data.val, self.scale, self.fabric, callback, data.unlabelled)

    def model(self, class_prior: Floats | None, scored: Callable[[int], None]) -> LikelihoodModel:
        data, settings, n_classes = self.data, self.config.evidence, self.data.n_classes
        sigmas = log_spaced(settings.sigma_min, settings.sigma_max, settings.levels).double().numpy()
        model = LikelihoodModel(
            self.config,
            self.state.ema,
            self.scale,
            data.train.pixels.dtype.name,
            data.class_names,
            np.full(n_classes, 1 / n_classes) if class_prior is None else class_prior,
            PostHoc.unfitted(sigmas, n_classes),
            preparation=data.preparation,
            sizing=data.sizing,
        )
        found = calibrated(model, data.val, calibration_augmentation(self.config, len(data.train)), scored)
        self.fabric.barrier()  # no process ends while others compute
        return found


@dataclass(frozen=True)
class _CheckpointWriter:
    """Keeps a run folder up to date: metrics at each validation, training state every so many steps."""

    run: Path
    every: int
    settings: TrainingConfig

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
            self._checkpoint(progress.state)

    def _checkpoint(self, state: TrainingState) -> None:
        tensors = state.tensors()
        if not all(bool(value.isfinite().all()) for value in tensors.values()):
            raise divergence_error(state.step, "weights that are not finite", self.settings)
        save_tensors(self.run / STATE, tensors)
