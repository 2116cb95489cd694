"""How strong a shift calibration should be taught."""

import numpy as np

from tables.markdown import DATA_SETS, read, table

HEADER = (
    "`imitated_shift`",
    "Cllr, as they are",
    "accuracy",
    "Cllr, mean under 14 changes",
    "accuracy",
    "Cllr, mean of all 15",
)


def section() -> list[str]:
    lines = [
        "## Calibration under shift: validation images",
        "",
        "    python benchmarks/shift.py --data FOLDER",
        "",
        "Validation images alone, out of fold: level weights and calibration, fitted with copies of the images changed as in",
        "training at so many times its ranges, asked of images as they are and under seven other changes at two strengths.",
        "Cllr in bits; accuracy at equal priors.  Chosen by the last column.",
    ]
    for name, title in DATA_SETS.items():
        records = read(f"shift/{name}-*.json")
        if not records:
            continue
        rows = []
        for strength in ("0", "1", "1.5", "2"):
            cost = np.mean([record[strength]["Cllr"] for record in records], axis=0)
            right = np.mean([record[strength]["accuracy"] for record in records], axis=0)
            values = (cost[0], right[0], cost[1:].mean(), right[1:].mean(), cost.mean())
            rows.append([strength, *(f"{value:.3f}" for value in values)])
        lines += ["", f"### {title}, {len(records)} seed(s)", "", *table(HEADER, rows)]
    return lines
