"""One ratio from several images of a patient."""

from typing import Any

import numpy as np

from bayescope.metrics.calibration import cllr, min_cllr
from bayescope.metrics.delong import auc
from benchmarks.study import CORRELATIONS, HELD_OUT
from benchmarks.tables.markdown import read, spread, table

_WAYS = ("one view", "product", "mean", "learned", "ideal observer")
_KEYS = ("AUC", "Cllr", "calibration loss")


def section() -> list[str]:
    """The phantom of paired views, and patients of mini-MIAS."""
    exact = {correlation: read("study", f"exact-{correlation:g}-*") for correlation in CORRELATIONS}
    trained, folds = read("study", "trained-*"), read("study", "mias-*")
    if not any(exact.values()):
        return []
    return [
        "## Several images of a patient",
        "",
        "    python -m benchmarks study",
        "",
        "Two views of a phantom with the same lesion in correlated textures, whose joint likelihood is known. The exact",
        "likelihoods of the views are added up, by a correlation of their evidence learned on 20 to 600 pairs. Cllr in bits,",
        f"mean over the three classes against the rest, {len(exact[CORRELATIONS[0]])} seeds:",
        "",
        *table(("correlation of the textures", *_names()), [_exact_row(c, rows, "Cllr") for c, rows in exact.items() if rows]),
        "The same, calibration loss:",
        "",
        *table(
            ("correlation of the textures", *_names()), [_exact_row(c, r, "calibration loss") for c, r in exact.items() if r]
        ),
        *_trained(trained),
        *_mias(folds),
    ]


def _names() -> list[str]:
    return ["one view", "product", "mean", *(f"learned on {n}" for n in HELD_OUT), "ideal observer"]


def _exact_row(correlation: float, records: list[dict[str, Any]], key: str) -> list[object]:
    return [f"{correlation:g}", *(spread([record[name][key] for record in records]) for name in _names())]


def _trained(records: list[dict[str, Any]]) -> list[str]:
    if not records:
        return []
    rows: list[list[object]] = [[way, *(spread([record[way][key] for record in records]) for key in _KEYS)] for way in _WAYS]
    learned = spread([record["learned"]["correlation"] for record in records], 2)
    of_images, of_pairs = (spread([100 * record["coverage"][name] for record in records], 0) for name in ("images", "pairs"))
    return [
        f"A small network trained on single views of pairs (texture correlation 0.6), seeds: {len(records)}; 600 test pairs.",
        f"The correlation learned on 200 validation pairs is {learned}. Error bars of 90 % contain the ratio from four times",
        f"the noises for {of_images} % of the images and {of_pairs} % of the pairs.",
        "",
        *table(("evidence of the pair", *_KEYS), rows),
    ]


def _mias(folds: list[dict[str, Any]]) -> list[str]:
    if not folds:
        return []
    labels = np.concatenate([fold["label"] for fold in folds])
    rows: list[list[object]] = []
    for way in ("product", "mean", "learned"):
        ratio = np.concatenate([fold[way] for fold in folds])
        cost, least = cllr(ratio, labels == 1), min_cllr(ratio, labels == 1)
        area = auc(np.stack([1 / (1 + np.exp(ratio)), 1 / (1 + np.exp(-ratio))], axis=1), labels)
        rows.append([way, f"{area:.3f}", f"{cost:.3f}", f"{cost - least:.3f}"])
    correlations = ", ".join(f"{fold['correlation']:.2f}" for fold in folds)
    held_out = ", ".join(f"{fold['held out'][1]} of {sum(fold['held out'])}" for fold in folds)
    return [
        f"Patients of mini-MIAS, abnormal if a film is: {int(labels.sum())} of {len(labels)}, {len(folds)} folds.",
        f"Correlations learned: {correlations}, on so many abnormal of all validation patients: {held_out}.",
        "",
        *table(("ratio of the patient", *_KEYS), rows),
    ]
