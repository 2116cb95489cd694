"""Measures every method, seed and fraction of the training images, and stores the results for resuming."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bayescope.config import Config
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.diffusion.device import open_fabric
from bayescope.errors import ConfigError, DataError, RunError, writing
from bayescope.evaluation.compare.networks import find_network, load_monai
from bayescope.evaluation.compare.training import Recipe, train_network
from bayescope.fitting.fit import fit
from bayescope.fitting.words import check_words
from bayescope.runs.files import read_json, write_atomically
from bayescope.types import Floats, Labels

BAYESCOPE = "bayescope"
RESULTS = "results"


@dataclass(frozen=True)
class Cell:
    """One training: a method, a seed and the share of the training images it learns from."""

    method: str
    seed: int
    fraction: float

    @property
    def file_name(self) -> str:
        return f"{self.method}-{self.fraction:g}-{self.seed}.json"


@dataclass(frozen=True)
class Result:
    """Result of a cell: predictions of the test images ``(n, classes)``, and their cost.

    ``passes`` of the network per test image; ``steps`` trained, of which early stopping may have saved some.
    """

    key: str
    method: str
    seed: int
    fraction: float
    train_images: int
    posterior: list[list[float]]
    train_seconds: float
    inference_seconds: float
    passes: float
    steps: int
    parameters: int
    device: str
    threads: int
    poolings: list[dict[str, Any]] = field(default_factory=list)
    """How Bayescope adds up the evidence of several images, as :class:`~bayescope.calibration.pooling.GroupPooling` has it."""


def compare(
    data: Dataset,
    config: Config,
    networks: Sequence[str],
    seeds: Sequence[int],
    fractions: Sequence[float],
    folder: Path,
    force: bool = False,
    done: Callable[[int], None] = lambda cells: None,
) -> list[Result]:
    """Compare Bayescope with discriminative networks on the same images.

    Parameters
    ----------
    data : Dataset
        The images.
    config : Config
        Settings of Bayescope; the networks have the same augmentation, batch size and at most as many steps.
    networks : sequence of str
        Names of networks.
    seeds : sequence of int
        Seeds, each of one training.
    fractions : sequence of float
        Fractions of the training images; for each seed, whole patients are drawn, stratified by class, the smaller share
        within the larger.
    folder : Path
        Folder of the results; those it contains already are not measured again.
    force : bool, default False
        Whether to repeat all measurements.
    done : callable, optional
        Called as each training is done.

    Returns
    -------
    list of Result
        All results, the largest fraction first.

    Raises
    ------
    ConfigError
        If a network or a word of the configuration is unknown, a fraction out of range, or MONAI not installed.
    DataError
        If a split lacks a class.
    RunError
        If ``folder`` contains results of other data or settings.
    """
    check_words(config)
    cells = plan(networks, seeds, fractions)
    for split, images in (("validation", data.val), ("test", data.test)):
        if absent := set(range(data.n_classes)) - set(images.labels.tolist()):
            names = ", ".join(data.class_names[k] for k in sorted(absent))
            raise DataError(
                f"{data.source}: no {split} image of class {names}; expected some of each. Put some "
                f"there: by a {split} folder, or a split column"
            )
    if networks:
        load_monai()
    with writing(folder):
        (folder / RESULTS).mkdir(parents=True, exist_ok=True)
    keys = {cell: _key(data, config, cell) for cell in cells}
    kept = {cell: None if force else _kept(folder / RESULTS / cell.file_name, keys[cell]) for cell in cells}
    results = []
    for cell in cells:
        result = kept[cell]
        if result is None:
            result = _measure(data, config, cell, keys[cell])
            write_atomically(folder / RESULTS / cell.file_name, json.dumps(asdict(result)).encode())
        results.append(result)
        done(1)
    return results


def plan(networks: Sequence[str], seeds: Sequence[int], fractions: Sequence[float]) -> list[Cell]:
    """Cells in the order they are measured, the largest share first.  Raises ConfigError for what cannot be measured."""
    for name in networks:
        find_network(name)
    if wrong := [fraction for fraction in fractions if not 0 < fraction <= 1]:
        raise ConfigError(f"fractions {wrong}; expected shares of the training images above 0 and at most 1, e.g. 0.1,0.5,1")
    if not seeds or not fractions or min(seeds) < 0:
        raise ConfigError(f"seeds {list(seeds)}, fractions {list(fractions)}; expected one or more of each, seeds from 0")
    methods = dict.fromkeys([BAYESCOPE, *networks])
    return [
        Cell(method, seed, fraction)
        for fraction, seed, method in product(sorted(set(fractions), reverse=True), sorted(set(seeds)), methods)
    ]


def share_of(images: ImageSet, fraction: float, seed: int) -> ImageSet:
    """About ``fraction`` of the patients (or images, where patients are not known) of each class, at least one.

    A smaller fraction is a part of a larger one of the same seed.  A patient counts to the last class that is theirs.
    """
    if fraction == 1:
        return images
    patients = patient_numbers(images)
    stratum = np.zeros(patients.max() + 1, dtype=np.int64)
    np.maximum.at(stratum, patients, images.labels)
    order = np.random.default_rng(seed).permutation(len(stratum))
    chosen = np.zeros(len(stratum), dtype=bool)
    for k in np.unique(stratum):
        members = order[stratum[order] == k]
        chosen[members[: max(1, round(fraction * len(members)))]] = True
    return images.subset(np.flatnonzero(chosen[patients]))


def patient_numbers(images: ImageSet) -> Labels:
    """Whose image each is, numbered from 0: ``(n,)``; without groups each is another's."""
    if images.groups is None:
        return np.arange(len(images))
    return np.unique(images.groups, return_inverse=True)[1].astype(np.int64)


def _key(data: Dataset, config: Config, cell: Cell) -> str:
    """SHA-256 of all that decides the result."""
    without: Any = {"seed": True, "training": {"accumulate", "compile"}}
    settings: Any = config.on_one_device.model_dump(exclude=without) if cell.method == BAYESCOPE else asdict(_recipe(config))
    groups = data.train.groups if cell.fraction < 1 else None
    about: list[Any] = [data.fingerprint, settings, asdict(cell), config.device, groups]
    if cell.method == BAYESCOPE:
        about.append([data.val.groups, data.val.breasts, data.val.studies])
    if data.unlabelled is not None and cell.method == BAYESCOPE:
        about.append(data.unlabelled.fingerprint())
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def _recipe(config: Config) -> Recipe:
    training = config.training
    return Recipe(training.steps, training.batch_size, training.augmentation, training.intensity)


def _kept(path: Path, key: str) -> Result | None:
    if not path.exists():
        return None
    content = read_json(path, "Give --force to measure again")
    if content.get("key") != key:
        raise RunError(
            f"{path}: was measured on other data or with other settings; give another --out, the same data and settings, or "
            "--force to measure again"
        )
    return Result(**content)


def _measure(data: Dataset, config: Config, cell: Cell, key: str) -> Result:
    part = replace(data, train=share_of(data.train, cell.fraction, cell.seed))
    if absent := data.n_classes - len(np.unique(part.train.labels)):
        raise DataError(
            f"{data.source}: {absent} classes have no image in {cell.fraction:g} of the training images drawn with seed "
            f"{cell.seed}; expected some of each. Give a larger fraction"
        )
    began = time.perf_counter()
    predict, steps, parameters, poolings = (_bayescope if cell.method == BAYESCOPE else _network)(part, config, cell)
    trained = time.perf_counter()
    posterior, passes = predict(data.test)
    return Result(
        key,
        **asdict(cell),
        train_images=len(part.train),
        posterior=posterior.tolist(),
        train_seconds=trained - began,
        inference_seconds=time.perf_counter() - trained,
        passes=passes,
        steps=steps,
        parameters=parameters,
        device=str(open_fabric(config).device.type),
        threads=torch.get_num_threads(),
        poolings=poolings,
    )


Predict = Callable[[ImageSet], tuple[Floats, float]]
"""Images to their posterior ``(n, classes)`` and the network passes spent on each."""
Trained = tuple[Predict, int, int, list[dict[str, Any]]]
"""Predictions, steps, parameters, and how several images are added up."""


def _bayescope(data: Dataset, config: Config, cell: Cell) -> Trained:
    model = fit(data, config.on_one_device.model_copy(update={"seed": cell.seed}))

    def predict(images: ImageSet) -> tuple[Floats, float]:
        predictions = model.classify(images.pixels)
        return predictions.posterior, predictions.mean_passes

    poolings = [one.to_dict() for one in model.post_hoc.poolings]
    return predict, config.training.steps, sum(p.numel() for p in model.denoiser.parameters()), poolings


def _network(data: Dataset, config: Config, cell: Cell) -> Trained:
    trained = train_network(cell.method, data, cell.seed, _recipe(config), open_fabric(config).device)
    return lambda images: (trained.predict(images.pixels), 1.0), trained.steps, trained.parameters, []
