"""What the benchmarks on trained networks share: options, the data, and both methods' models."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bayescope.data.dataset import Dataset, ImageSet
from bayescope.data.load import load_dataset
from bayescope.evaluation.compare.training import TrainedNetwork, load_network
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.novelty import NoveltyResult
from bayescope.metrics.bootstrap import Estimate
from bayescope.runs.model_file import load_model
from bayescope.types import Labels
from benchmarks.medmnist import FILES, MODELS, kept_model
from benchmarks.store import RESULTS


@dataclass(frozen=True)
class Case:
    """A data set and both methods trained on it with one seed."""

    name: str
    seed: int
    data: Dataset
    model: LikelihoodModel
    network: TrainedNetwork


def parser(description: str | None, sets: tuple[str, ...] = tuple(FILES), phantom: bool = False) -> argparse.ArgumentParser:
    """Options that these benchmarks have in common; ``phantom``: also, or instead of data, a run folder of a phantom model."""
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--data", type=Path, required=not phantom, help="folder with the two .npz files")
    found.add_argument("--only", choices=sets, help="one data set")
    found.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    found.add_argument("--models", type=Path, default=MODELS, help="folder of trained models (default: runs/medmnist)")
    found.add_argument("--results", type=Path, help="where rows are kept (default: benchmarks/results)")
    found.add_argument("--images", type=int, help="to try out: at most so many of each class and split; asks for --results")
    if phantom:
        found.add_argument("--phantom", type=Path, help="run folder of a phantom model")
    return found


def parse(options: argparse.ArgumentParser) -> argparse.Namespace:
    """The command line; rows of few images are never kept where those in full belong."""
    args = options.parse_args()
    if args.images and not args.results:
        options.error("--images: give --results FOLDER too, so that rows of few images are not taken for full ones")
    args.results = args.results or RESULTS
    if not args.data and not getattr(args, "phantom", None):
        options.error("give --data FOLDER, --phantom RUN or both")
    return args


def cases(args: argparse.Namespace, sets: tuple[str, ...] = tuple(FILES)) -> Iterator[Case]:
    """Every data set and seed that python -m benchmarks medmnist has trained both methods on; none without data."""
    for name in ([args.only] if args.only else sets) if args.data else ():
        data = load_dataset(args.data / FILES[name])
        if args.images:
            data = replace(data, **{part: few(getattr(data, part), args.images) for part in ("train", "val", "test")})
        for seed in args.seeds:
            run, network = (args.models / kept_model(name, method, seed).name for method in ("bayescope", "resnet18"))
            if run.exists() and network.exists():
                yield Case(name, seed, data, load_model(run), load_network(network))
            else:
                print(f"{name} seed {seed}: no kept models; first run the benchmark medmnist with --missing-models", flush=True)


def few(images: ImageSet, count: int) -> ImageSet:
    """The first ``count`` images of every class."""
    return images.subset(first_of_each_class(images.labels, count))


def first_of_each_class(labels: Labels, count: int) -> Labels:
    """Rising indices of the first ``count`` images of every class."""
    return np.sort(np.concatenate([np.flatnonzero(labels == k)[:count] for k in np.unique(labels)]))


def interval(estimate: Estimate) -> list[float]:
    """Value and the ends of its interval, for JSON."""
    return [round(float(v), 5) for v in (estimate.value, estimate.low, estimate.high)]


def warned(novelty_result: NoveltyResult) -> float:
    """Share of images that are warned of."""
    return float(np.mean([line != "" for line in novelty_result.warnings()]))
