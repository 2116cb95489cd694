"""Calibration, error bars, abstention, sets and counterfactuals, averaged over seeds."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.tables.markdown import DATA_SETS, read, spread, table

Record = dict[str, Any]
MEASURES = ("Cllr", "minCllr", "calibration loss", "ECE", "Brier score", "log loss")
RATIOS = ("Bayescope, raw", "Bayescope, calibrated", "ResNet-18", "ResNet-18, temperature-scaled")
PRIORS = ("training frequencies", "equal prior")
METHODS = ("Bayescope", "ResNet-18")


def _ranged(rows: list[list[float]], digits: int = 3) -> str:
    value, low, high = (f"{number:.{digits}f}" for number in np.mean(rows, axis=0))
    return f"{value} ({low}–{high})"


def _calibration(records: list[Record]) -> list[str]:
    def cells(method: str, suffix: str = "") -> list[str]:
        return [_ranged([record["calibration"][method][measure + suffix] for record in records]) for measure in MEASURES]

    rows = []
    for method in RATIOS:
        rows.append([method, *cells(method)])
        if method in ("Bayescope, calibrated", "ResNet-18, temperature-scaled"):
            rows.append(["… if it were perfect", *cells(method, ", if perfect")])
    return table(("log-ratios", *MEASURES), rows)


def _priors(records: list[Record]) -> list[str]:
    measures = ("ECE", "Brier score", "log loss")
    rows = [
        [method, *(spread([r["calibration"][method][f"at {prior}"][m] for r in records]) for prior in PRIORS for m in measures)]
        for method in RATIOS
    ]
    return table(("log-ratios", *(f"{m}, {prior}" for prior in PRIORS for m in measures)), rows)


def _prevalence(records: list[Record]) -> list[str]:
    rows = []
    for prevalence in records[0]["prevalence"]:
        drawn = [record["prevalence"][prevalence] for record in records]
        for part in ("all", "lower half", "upper half"):
            found = [record[part] for record in drawn if part in record]
            if found:
                rows.append(
                    [
                        f"{np.mean([record['drawn'] for record in drawn]):.2%}",
                        part,
                        f"{np.mean([f['said'] for f in found]):.4f}",
                        _ranged([f["seen"] for f in found], 4),
                        f"{np.mean([f['ratio'] for f in found]):.2f}",
                        _ranged([f["ratio, if perfect"] for f in found]),
                    ]
                )
    header = ("disease", "images by post-test probability", "said", "seen (95 % interval)", "seen over said", "if perfect")
    return table(header, rows)


def _decisions(records: list[Record]) -> list[str]:
    def row(title: str, pick: Callable[[Record], Any], expected: str) -> list[str]:
        cells = []
        for method in METHODS:
            values = [value for record in records if (value := pick(record["decisions"][method])) is not None]
            ranged = bool(values) and isinstance(values[0], list)
            cell = _ranged(values) if ranged else spread(values) if values else "–"
            some = 0 < len(values) < len(records)
            cells.append(f"{cell}, {len(values)} of {len(records)} seeds" if some else cell)
        return [title, *cells, expected]

    def covered(k: int) -> Callable[[Record], Any]:
        return lambda d: None if (found := d["set coverage by class"]) is None else found[k]

    promised = records[0]["promised"]
    least, most = f"≥ {1 - promised['miscoverage']:.2f}", f"{promised['risk']:.2f}"
    rows = [
        row("sets contain the truth, class 0", covered(0), least),
        row("sets contain the truth, class 1", covered(1), least),
        row("classes in a set", lambda d: d["classes in a set"], ""),
        row(f"answered at a risk of {most}", lambda d: d["answered"], ""),
        row("wrong among the answered", lambda d: d["wrong among answered"], f"≤ {most}"),
        row("AURC", lambda d: d["AURC"], ""),
        *(
            row(f"risk at coverage {c}", lambda d, c=c: d["risk at coverage"][c], "")  # type: ignore[misc]
            for c in ("0.5", "0.8", "0.9", "1.0")
        ),
    ]
    return table(("sets and abstention, by validation", *METHODS, "promised if exchangeable"), rows)


def _rest(records: list[Record]) -> list[str]:
    def mean(pick: Callable[[Record], float]) -> str:
        return spread([pick(record) for record in records])

    rows = [
        ["90 % error bars cover, in full", mean(lambda r: r["error bars"]["in full"][0]), "0.85–0.95"],
        ["90 % error bars cover, early stop", mean(lambda r: r["error bars"]["early"][0]), "0.85–0.95"],
        ["passes at the early stop", mean(lambda r: r["error bars"]["early passes"]), ""],
    ]
    for sigma in records[0]["counterfactuals"]:
        for name in ("counterfactual", "reconstruction"):
            for what, unit in (("flipped", "answered as the other class"), ("distance", "rms distance, of [-1, 1]")):
                found = [record["counterfactuals"][sigma][f"{name} {what}"] for record in records]
                rows.append([f"{name}, σ = {sigma}: {unit}", spread(found), ""])
    return table(("error bars and counterfactuals", "value", "aim"), rows)


def section() -> list[str]:
    """Both data sets."""
    lines = [
        "## Trust: calibration, error bars, abstention",
        "",
        "    python -m benchmarks trust --data FOLDER",
        "",
        "Test split, scored in full; means over seeds, of the intervals' ends too.  Cllr and its parts in bits; ECE, Brier",
        "score and log loss (nats) at the class frequencies of the test images, then at other priors.  *If it were perfect*:",
        "what perfectly calibrated probabilities would show on as many images, mean and 95 % range; a measured value inside "
        "it speaks",
        "for no miscalibration.  Sets, abstention and AURC at equal priors; a dash where validation images vouch for no",
        "answer; the promise is Bayescope's alone: the ResNet-18's validation images also chose when its training stopped.",
        "The ResNet-18's temperature rests on validation images as they are, Bayescope's map on changed copies too. Error",
        "bars are held against repetitions with other noises, on 40 images; those of early stops on up to 300, each",
        "answered once, all with the model's own noises. In sets resampled to a prevalence, what is seen of all images is",
        "that prevalence: the test is whether what was said agrees.",
        "Aims: calibration loss (Cllr - minCllr) of 0.05 or less; ECE of 0.04 (PneumoniaMNIST) and 0.06 (BreastMNIST) or less.",
        "",
    ]
    for name, title in DATA_SETS.items():
        records = read("trust", f"{name}-*")
        lines += [f"### {title}, {len(records)} seed(s)", ""]
        parts = (_calibration, _priors, _prevalence, _decisions, _rest)
        lines += [line for part in parts for line in part(records)] if records else ["Not measured yet.", ""]
    return lines
