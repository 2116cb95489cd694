"""How fast exported graphs score images beside torch, and whether the likelihood ratios stay the same.

    python -m benchmarks export --run RUN --data DATA            # a trained run and its own data
    python -m benchmarks export --run RUN --data DATA --images 50 --seconds 0.3 --results /tmp/tried

Per runtime (torch, and each format of `bayescope export`, in single and in half precision): size of the file, passes per second
at several batches of images under every class, images per second of decisions that stop early, and on test images the
largest difference of a log-likelihood ratio from torch's, scored in full and stopping early, and how many images took another
number of passes.  Calls of all runtimes take turns; the median counts.  A row for each run, under the name of its folder.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch

from bayescope.data.load import load_dataset
from bayescope.export.formats import FORMATS
from bayescope.export.graph import trace
from bayescope.export.runtime import on_graph
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.predictions import Predictions
from bayescope.runs.model_file import load_model
from bayescope.types import Pixels
from benchmarks.store import RESULTS, Store

BATCHES = (1, 8, 64)
HALF = ", half precision"


def exported(model: LikelihoodModel) -> dict[str, tuple[LikelihoodModel, int]]:
    """The model on each runtime and the size of its file, bytes, by name; 0 for torch itself."""
    found = {"torch": (model, 0)}
    for half in (False, True):
        program = trace(model.denoiser, half)
        for name, file_format in FORMATS.items():
            content = file_format.pack(program, "")
            found[name + HALF * half] = on_graph(model, file_format.ready(program, content)), len(content)
    return found


@torch.inference_mode()
def scorer(model: LikelihoodModel, batch: int) -> Callable[[], object]:
    """Scores one draw of ``batch`` images under every class, at the middle level."""
    n_classes, generator = len(model.class_names), torch.Generator().manual_seed(0)
    x = torch.randn(batch, *model.image_shape, generator=generator)
    image, label = torch.arange(batch).repeat_interleave(n_classes), torch.arange(n_classes).repeat(batch)
    level = model.denoiser.at_level(float(model.sigmas[len(model.sigmas) // 2]))
    return torch.inference_mode()(lambda: level(x, image, label))


def in_turns(calls: dict[str, Callable[[], object]], seconds: float) -> dict[str, float]:
    """Median seconds of a call of each, taken in turns for ``seconds`` each, after one that does not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    began = time.perf_counter()
    while time.perf_counter() - began < seconds * len(calls):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {name: median(found) for name, found in times.items()}


def differences(expected: Predictions, found: Predictions) -> dict[str, float]:
    """Largest difference of a ratio, nats, and the number of images that took another number of passes."""
    difference = np.abs(found.log_likelihood_ratio - expected.log_likelihood_ratio).max()
    return {"nats": float(difference), "other_passes": int((found.passes != expected.passes).sum())}


def measure(model: LikelihoodModel, pixels: Pixels, seconds: float) -> dict[str, object]:
    """All runtimes, on the same images."""
    runtimes = exported(model)
    models = {name: found for name, (found, _) in runtimes.items()}
    n_classes = len(model.class_names)
    passes = {
        batch: {
            name: batch * n_classes / taken
            for name, taken in in_turns({name: scorer(one, batch) for name, one in models.items()}, seconds).items()
        }
        for batch in BATCHES
    }
    decided = in_turns({name: lambda one=one: one.classify(pixels) for name, one in models.items()}, seconds)  # type: ignore[misc]
    rows = []
    early, full = model.classify(pixels), model.classify(pixels, disagreement_rate=0.0)
    for name, (one, size) in runtimes.items():
        rows.append(
            {
                "runtime": name,
                "mib": size / 2**20,
                "passes_per_second": {str(batch): passes[batch][name] for batch in BATCHES},
                "images_per_second": len(pixels) / decided[name],
                "in_full": differences(full, one.classify(pixels, disagreement_rate=0.0)),
                "early": differences(early, one.classify(pixels)),
            }
        )
    shape = list(model.image_shape)
    return {"shape": shape, "classes": n_classes, "images": len(pixels), "threads": torch.get_num_threads(), "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="run folder of bayescope train")
    parser.add_argument("--data", type=Path, required=True, help="its data")
    parser.add_argument("--images", type=int, default=200, help="of the test split")
    parser.add_argument("--seconds", type=float, default=3.0, help="of calls per runtime and batch")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the rows")
    args = parser.parse_args()
    model = load_model(args.run)
    pixels = load_dataset(args.data).test.pixels[: args.images]
    record = measure(model, pixels, args.seconds)
    Store("export", args.results).put(args.run.name, record)
    print(json.dumps(record, indent=1))
