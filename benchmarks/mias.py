"""Real mammograms in five folds by patient: Bayescope and a ResNet-18 given the same time, on mini-MIAS.

    python -m benchmarks mias --data FOLDER                    # every task, fold and method that is not measured yet
    python -m benchmarks mias --data FOLDER --only regions --folds 0 --methods bayescope
    python -m benchmarks mias --data FOLDER --recipes TRIED --results TRIED --models TRIED --without-test     # to choose

Tasks are ``films`` (normal or abnormal, whole films) and ``regions`` (benign or malignant, the region around each finding);
a recipe is ``benchmarks/mias/<task>.toml``.  Each (task, method, fold) is trained once and kept as a row, with its predictions,
in benchmarks/results/mias.jsonl; the table pools the folds, so that every film is predicted by a model that has seen neither it
nor another film of the patient.  ``bayescope-from-chest`` starts from the network of the 64 px chest X-rays of
``python -m benchmarks sizes``.  The ResNet-18 takes as many steps as fit into the processor time of Bayescope's training.

Recipes are chosen by the AUC of the plain bound over all folds' validation images; the test folds are read once.  On the test
films of a fold it is also measured how many are called novel, and of chest X-rays and breast ultrasound of the same size; and
how often the maximum of the smoothed evidence map of an abnormal film is inside the circle annotated for its finding.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import gaussian_filter

from bayescope.config import read_config
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.data.load import load_dataset
from bayescope.data.preparation.cache import CASES
from bayescope.data.preparation.mammogram import WHITE
from bayescope.data.preparation.prepare import prepare_archive
from bayescope.evaluation.compare.training import train_network
from bayescope.evidence.level_weights import level_spacing
from bayescope.inference.model import LikelihoodModel
from bayescope.metrics.delong import auc
from bayescope.runs.model_file import load_model
from bayescope.types import Floats, Pixels
from benchmarks.novelty import auroc
from benchmarks.sizes import MODELS as SIZES_MODELS
from benchmarks.sizes import Spent, load, network_recipe, train_bayescope
from benchmarks.store import Store

HERE = Path(__file__).parent
RECIPES, MODELS = HERE / "mias", HERE.parent / "runs" / "mias"
TASKS = {"films": "normal/abnormal", "regions": "benign/malignant-roi"}
METHODS = ("bayescope", "bayescope-from-chest", "resnet18")
PIXELS, FOLDS, VAL_FRACTION = 64, 5, 0.2
OTHERS = {"chest X-rays": "chest", "breast ultrasound": "breast"}
FEW, SMOOTHING = 60, 1.5


def prepared(source: Path, folder: Path, task: str, fold: int) -> tuple[Dataset, pd.DataFrame]:
    """The images of a task, with one fold for testing, and the case table of the test images."""
    cache = folder / f"{task}-{PIXELS}-fold{fold}"
    drawn = {"fold": fold, "folds": FOLDS, "val_fraction": VAL_FRACTION}
    prepare_archive("mias", source, cache, PIXELS, TASKS[task], **drawn, workers=1)
    cases = pd.read_parquet(cache / CASES)
    return load_dataset(cache), cases[cases["split"] == "test"].reset_index(drop=True)


def predictions(posterior: Floats, images: ImageSet) -> dict[str, Any]:
    """Of the test images: the probability of the last class, label and patient of each."""
    assert images.groups is not None
    return {"probability": posterior[:, -1].round(5).tolist(), "label": images.labels.tolist(), "patient": list(images.groups)}


def run_bayescope(
    data: Dataset,
    cases: pd.DataFrame,
    recipe: Path,
    seed: int,
    kept: Path,
    init: Path | None,
    without_test: bool,
    others: dict[str, Pixels],
) -> dict[str, Any]:
    config = read_config(recipe).model_copy(update={"seed": seed})
    if not (kept.exists() and load_model(kept).config == config):
        train_bayescope(data, config, kept, kept.with_suffix(".json"), init)
    model = load_model(kept)
    levels = model.level_evidence(data.val.pixels)
    bound = levels.mean @ level_spacing(levels.sigmas)
    row: dict[str, Any] = {
        "training": pd.read_json(kept.with_suffix(".json"), typ="series").to_dict(),
        "steps": config.training.steps,
    }
    row["val"] = predictions(np.exp(bound - np.logaddexp.reduce(bound, axis=1, keepdims=True)), data.val)
    if without_test:
        return row
    began = Spent.now()
    found = model.classify(data.test.pixels, disagreement_rate=0.0)
    row |= {"passes": found.mean_passes, "ms": round(1e3 * began.since().processor / len(data.test), 1)}
    row["test"] = predictions(found.posterior, data.test) | {"ratio": found.log_likelihood_ratio[:, -1].round(4).tolist()}
    if found.novelty is not None:
        row["novelty"] = novelty(model, found.novelty.score, others)
    if cases["kind"].eq("full").all():
        row["maps"] = pointing(model, data.test, cases)
    return row


def novelty(model: LikelihoodModel, usual: Floats, others: dict[str, Pixels]) -> dict[str, float]:
    """AUROC of the score that tells images of another modality from the test images."""
    found = {}
    for name, pixels in others.items():
        odd = model.classify(pixels, disagreement_rate=0.0).novelty
        assert odd is not None
        found[name] = auroc(usual, odd.score)
    return found


def pointing(model: LikelihoodModel, images: ImageSet, cases: pd.DataFrame) -> dict[str, Any]:
    """Of each abnormal film with one circle: whether the map's maximum is inside, and the circle's share of the breast."""
    chosen = np.flatnonzero((images.labels == images.class_names.index("abnormal")) & cases["x_min"].notna())
    abnormal = images.class_names.index("abnormal")
    maps = model.evidence_maps(images.pixels[chosen]).between(abnormal, 1 - abnormal).levels.sum(axis=1)
    hits, shares = [], []
    rows, columns = np.mgrid[:PIXELS, :PIXELS] + 0.5
    for map_, pixels, box in zip(maps, images.pixels[chosen, 0], cases.loc[chosen].to_dict("records"), strict=True):
        centre = (box["y_min"] + box["y_max"]) / 2, (box["x_min"] + box["x_max"]) / 2
        radii = (box["y_max"] - box["y_min"]) / 2, (box["x_max"] - box["x_min"]) / 2
        inside = ((rows - centre[0]) / radii[0]) ** 2 + ((columns - centre[1]) / radii[1]) ** 2 <= 1
        breast = pixels > 0
        smooth = np.where(breast, gaussian_filter(map_, SMOOTHING), -np.inf)
        hits.append(bool(inside.flat[smooth.argmax()]))
        shares.append(round(float((inside & breast).sum() / breast.sum()), 5))
    return {"inside": hits, "share": shares}


def run_resnet18(data: Dataset, recipe: Path, seed: int, seconds: float, without_test: bool) -> dict[str, Any]:
    config = read_config(recipe)
    settings = network_recipe(data, config, seed, seconds)
    began = Spent.now()
    network = train_network("resnet18", data, seed, settings)
    row: dict[str, Any] = {"steps": network.steps, "training": began.since().record(), "passes": 1}
    row["val"] = predictions(network.predict(data.val.pixels), data.val)
    if not without_test:
        began = Spent.now()
        row["test"] = predictions(network.predict(data.test.pixels), data.test)
        row["ms"] = round(1e3 * began.since().processor / len(data.test), 1)
    return row


def others_of(folder: Path) -> dict[str, Pixels]:
    """A few test images of other modalities, in 16 bits as prepared mammograms are."""
    found = {}
    for title, name in OTHERS.items():
        pixels = load(folder, name, PIXELS).test.pixels
        few = pixels[np.linspace(0, len(pixels) - 1, FEW).astype(int)]
        found[title] = np.rint(few / 255.0 * WHITE).astype(np.uint16)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with mias, kermany_cxr and breast_ultrasound")
    parser.add_argument("--only", choices=TASKS, help="one task")
    parser.add_argument("--folds", type=int, nargs="+", default=range(FOLDS))
    parser.add_argument("--methods", choices=METHODS, nargs="+", default=METHODS)
    parser.add_argument("--recipes", type=Path, default=RECIPES, help="folder of recipes (default: benchmarks/mias)")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder of caches and models (default: runs/mias)")
    parser.add_argument("--results", type=Path, help="where rows are kept (default: benchmarks/results)")
    parser.add_argument("--without-test", action="store_true", help="to choose; asks for --results")
    args = parser.parse_args()
    if args.without_test and not args.results:
        parser.error("--without-test: give --results FOLDER too, so that rows without test scores are kept apart")
    torch.set_num_threads(1)
    store = Store("mias", args.results)
    others = {} if args.without_test else others_of(args.data)
    for task in [args.only] if args.only else TASKS:
        for fold in args.folds:
            for method in args.methods:
                store.keep(f"{task}-{method}-{fold}", lambda t=task, f=fold, m=method: measure(args, store, t, f, m, others))
        report(store, task)


def measure(
    args: argparse.Namespace, store: Store, task: str, fold: int, method: str, others: dict[str, Pixels]
) -> dict[str, Any]:
    data, cases = prepared(args.data / "mias", args.models, task, fold)
    recipe, kept = args.recipes / f"{task}.toml", args.models / f"{task}-{method}-{fold}"
    if method == "resnet18":
        seconds = store.rows()[f"{task}-bayescope-{fold}"]["training"]["processor"]
        return run_resnet18(data, recipe, fold, seconds, args.without_test)
    init = SIZES_MODELS / f"chest-{PIXELS}-bayescope-0" if method == "bayescope-from-chest" else None
    return run_bayescope(data, cases, recipe, fold, kept, init, args.without_test, others)


def report(store: Store, task: str) -> None:
    """Print the AUC over all folds of every method."""
    for method in METHODS:
        rows = list(store.rows(f"{task}-{method}-[0-9]").values())
        for part in ("val", "test"):
            if rows and all(part in row for row in rows):
                probability, labels = (np.concatenate([row[part][key] for row in rows]) for key in ("probability", "label"))
                print(
                    task, method, part, len(rows), "folds", round(auc(np.stack([1 - probability, probability], 1), labels), 4)
                )
