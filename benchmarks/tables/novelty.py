"""AUROC of novelty scores against every kind of odd image."""

import numpy as np

from benchmarks.tables.markdown import DATA_SETS, read, spread, table

SCORES = ("bayescope", "bayescope, p-value", "maximum softmax", "Mahalanobis")
TITLES = ("Bayescope, score", "Bayescope, p-value", "ResNet-18, maximum softmax", "ResNet-18, Mahalanobis")


def section() -> list[str]:
    """Both data sets, and the phantom's textures."""
    lines = [
        "## Novelty: images unlike the training images",
        "",
        "    python -m benchmarks novelty --data FOLDER",
        "    python -m benchmarks novelty --phantom RUN",
        "",
        "AUROC against ordinary test images, mean over seeds; corruptions at strengths 1, 2, 3 (`benchmarks/corruptions.py`).",
        "Aims: 0.99 against the other modality, 0.95 on average over the corruptions at full strength.",
        "",
    ]
    for name, title in DATA_SETS.items():
        records = read("novelty", f"{name}-*")
        lines += [f"### {title}", ""]
        if not records:
            lines += ["Not measured yet.", ""]
            continue
        auroc = {key: {s: np.mean([r["auroc"][key][s] for r in records]) for s in SCORES} for key in records[0]["auroc"]}
        kinds = list(dict.fromkeys(key.rsplit(" ", 1)[0] for key in auroc if key != "other modality"))
        warned = {key: np.mean([r["warned"][key] for r in records]) for key in auroc}
        other = [f"{auroc['other modality'][s]:.3f}" for s in SCORES]
        rows = [["the other modality", *other, f"{warned['other modality']:.2f}"]]
        for kind in kinds:
            keys = [f"{kind} {strength}" for strength in (1, 2, 3)]
            cells = [" / ".join(f"{auroc[key][s]:.3f}" for key in keys) for s in SCORES]
            rows.append([kind, *cells, " / ".join(f"{warned[key]:.2f}" for key in keys)])
        strongest = [f"{np.mean([auroc[f'{kind} 3'][s] for kind in kinds]):.3f}" for s in SCORES]
        rows.append(["*corruptions, full strength*", *strongest, f"{np.mean([warned[f'{kind} 3'] for kind in kinds]):.2f}"])
        lines += table(("odd images", *TITLES, "warned of by Bayescope"), rows)
        false = spread([r["false_warnings"] for r in records])
        lines += [f"Ordinary test images warned of: {false}; {len(records)} seed(s).", ""]
    phantom = [_texture(name, auroc) for record in read("novelty", "phantom") for name, auroc in record.items()]
    return [*lines, "### Phantom textures of another exponent (trained on 3)", "", *table(("texture", *TITLES), phantom)]


def _texture(name: str, auroc: dict[str, float]) -> list[str]:
    return [name, *(f"{auroc[score]:.3f}" if score in auroc else "not measured yet" for score in SCORES)]
