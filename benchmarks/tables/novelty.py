"""AUROC of novelty scores against every kind of odd image."""

import numpy as np

from tables.markdown import DATA_SETS, read, spread, table

SCORES = ("bayescope", "maximum softmax", "Mahalanobis")
TITLES = ("Bayescope", "ResNet-18, maximum softmax", "ResNet-18, Mahalanobis")


def section() -> list[str]:
    """Both data sets, and the phantom's textures."""
    lines = [
        "## Novelty: images unlike the training images",
        "",
        "    python benchmarks/novelty.py --data FOLDER",
        "    python benchmarks/novelty.py --data FOLDER --phantom RUN",
        "",
        "AUROC against ordinary test images, mean over seeds; corruptions at strengths 1, 2, 3 (`benchmarks/corruptions.py`).",
        "Aims: 0.99 against the other modality, 0.95 on average over the corruptions at full strength.",
        "",
    ]
    for name, title in DATA_SETS.items():
        records = read(f"novelty/{name}-*.json")
        lines += [f"### {title}", ""]
        if not records:
            lines += ["Not measured yet.", ""]
            continue
        auroc = {key: {s: np.mean([r["auroc"][key][s] for r in records]) for s in SCORES} for key in records[0]["auroc"]}
        kinds = list(dict.fromkeys(key.rsplit(" ", 1)[0] for key in auroc if key != "other modality"))
        rows = [["the other modality", *(f"{auroc['other modality'][s]:.3f}" for s in SCORES)]]
        rows += [[kind, *(" / ".join(f"{auroc[f'{kind} {i}'][s]:.3f}" for i in (1, 2, 3)) for s in SCORES)] for kind in kinds]
        rows.append(["*corruptions, full strength*", *(f"{np.mean([auroc[f'{k} 3'][s] for k in kinds]):.3f}" for s in SCORES)])
        lines += table(("odd images", *TITLES), rows)
        warned = spread([r["false_warnings"] for r in records])
        lines += [f"Ordinary test images warned of (p ≤ 0.01): {warned}; {len(records)} seed(s).", ""]
    phantom = [[key, f"{value:.3f}"] for record in read("novelty/phantom.json") for key, value in record.items()]
    return [*lines, "### Phantom textures of another exponent (trained on 3)", "", *table(("texture", "AUROC"), phantom)]
