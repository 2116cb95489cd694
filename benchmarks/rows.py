"""What the benchmarks on trained networks share: the data, both methods' models, and rows kept as JSON files."""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bayescope.checkpoint import load_model
from bayescope.compare.training import TrainedNetwork, load_network
from bayescope.data.images import Dataset
from bayescope.data.sources import load_dataset
from bayescope.metrics import Estimate
from bayescope.model import LikelihoodModel
from bayescope.shapes import Labels
from medmnist import FILES, MODELS

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Case:
    """A data set and both methods trained on it with one seed."""

    name: str
    seed: int
    data: Dataset
    model: LikelihoodModel
    network: TrainedNetwork


def parser(description: str | None, sets: tuple[str, ...] = tuple(FILES)) -> argparse.ArgumentParser:
    """Options that these benchmarks have in common."""
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--data", type=Path, required=True, help="folder that holds the two .npz files")
    found.add_argument("--only", choices=sets, help="one data set")
    found.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    return found


def cases(args: argparse.Namespace, sets: tuple[str, ...] = tuple(FILES)) -> Iterator[Case]:
    """Every data set and seed that benchmarks/medmnist.py has trained both methods on."""
    for name in [args.only] if args.only else sets:
        data = load_dataset(args.data / FILES[name])
        for seed in args.seeds:
            run, network = MODELS / f"{name}-{seed}", MODELS / f"{name}-resnet18-{seed}.safetensors"
            if run.exists() and network.exists():
                yield Case(name, seed, data, load_model(run), load_network(network))
            else:
                print(f"{name} seed {seed}: not trained; run benchmarks/medmnist.py first", flush=True)


def keep(target: Path, measure: Callable[[], object]) -> None:
    """Write what ``measure`` gives as JSON, unless it was measured before."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(measure(), indent=1) + "\n")
    print(target.name, flush=True)


def first_of_each_class(labels: Labels, count: int) -> Labels:
    """Rising indices of the first ``count`` images of every class."""
    return np.sort(np.concatenate([np.flatnonzero(labels == k)[:count] for k in np.unique(labels)]))


def interval(estimate: Estimate) -> list[float]:
    """Value and the ends of its interval, for JSON."""
    return [round(float(v), 5) for v in (estimate.value, estimate.low, estimate.high)]
