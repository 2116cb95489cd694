"""Calibration, error bars, abstention, sets and counterfactuals, seed by seed averaged."""

from typing import Any

import numpy as np

from tables.markdown import DATA_SETS, read, spread, table

MEASURES = ("Cllr", "minCllr", "calibration loss", "ECE", "Brier score")
METHODS = ("Bayescope, raw", "Bayescope, calibrated", "ResNet-18", "ResNet-18, temperature-scaled")


def _cell(records: list[dict[str, Any]], method: str, measure: str) -> str:
    rows = np.array([record["calibration"][method][measure] for record in records])
    value, low, high = rows.mean(axis=0)
    return f"{value:.3f} ({low:.3f}–{high:.3f})"


def _calibration(records: list[dict[str, Any]]) -> list[str]:
    rows = []
    for method in METHODS:
        rows.append([method, *(_cell(records, method, measure) for measure in MEASURES)])
        if method == "Bayescope, calibrated":
            rows.append(["as many perfect answers", *(_cell(records, method, f"{m}, if perfect") for m in MEASURES)])
    return table(("log-ratios", *MEASURES), rows)


def _prevalence(records: list[dict[str, Any]]) -> list[str]:
    rows = []
    for prevalence in records[0]["prevalence"]:
        for half in ("lower half", "upper half"):
            found = [record["prevalence"][prevalence][half] for record in records]
            value, low, high = np.mean([f["seen"] for f in found], axis=0)
            said = np.mean([f["said"] for f in found])
            rows.append([f"{float(prevalence):.0%}", half, f"{said:.3f}", f"{value:.3f} ({low:.3f}–{high:.3f})"])
    return table(("prevalence", "images by post-test probability", "said", "seen (95 % interval)"), rows)


def _rest(records: list[dict[str, Any]]) -> list[str]:
    def mean(pick: Any) -> str:
        return spread([float(pick(record)) for record in records])

    answered = [r for r in records if r["abstention"]["wrong"] is not None]
    rows = [
        ["90 % error bars hold", mean(lambda r: r["error_bar_coverage"]), "0.85–0.95"],
        ["conformal sets hold the truth, class 0", mean(lambda r: r["conformal_coverage"][0]), "≥ 0.90 if exchangeable"],
        ["conformal sets hold the truth, class 1", mean(lambda r: r["conformal_coverage"][1]), "≥ 0.90 if exchangeable"],
        ["classes in a set", mean(lambda r: r["conformal_size"]), ""],
        ["answered at a guaranteed risk of 0.10", mean(lambda r: r["abstention"]["answered"]), ""],
        ["wrong among the answered", spread([r["abstention"]["wrong"] for r in answered]) if answered else "–", "≤ 0.10"],
        ["AURC, Bayescope", mean(lambda r: r["aurc"]["Bayescope"]), ""],
        ["AURC, ResNet-18", mean(lambda r: r["aurc"]["ResNet-18"]), ""],
        ["counterfactuals answered as the other class", mean(lambda r: r["counterfactuals"]["counterfactual flipped"]), ""],
        ["… reconstructions so answered", mean(lambda r: r["counterfactuals"]["reconstruction flipped"]), ""],
        ["distance of the counterfactual, rms of [-1, 1]", mean(lambda r: r["counterfactuals"]["counterfactual distance"]), ""],
        ["… of the reconstruction", mean(lambda r: r["counterfactuals"]["reconstruction distance"]), ""],
    ]
    return table(("measure", "value", "expected"), rows)


def section() -> list[str]:
    """Both data sets."""
    lines = [
        "## Trust: calibration, error bars, abstention",
        "",
        "    python benchmarks/trust.py --data FOLDER",
        "",
        "Test split, equal prior, weighed in full; means over seeds, of the intervals' ends too.  Cllr and its parts in bits.",
        "Aims: calibration loss (Cllr - minCllr) of 0.05 or less; ECE of 0.04 (PneumoniaMNIST) and 0.06 (BreastMNIST) or less.",
        "",
    ]
    for name, title in DATA_SETS.items():
        records = read(f"trust/{name}-*.json")
        lines += [f"### {title}, {len(records)} seed(s)", ""]
        lines += [*_calibration(records), *_prevalence(records), *_rest(records)] if records else ["Not measured yet.", ""]
    return lines
