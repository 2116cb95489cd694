"""Write docs/results.md from the measured JSON files in benchmarks/results.

python benchmarks/render.py
"""

import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "results.md"
BARS = {"pneumoniamnist": (0.978, 0.940), "breastmnist": (0.920, 0.870)}
TITLES = {"pneumoniamnist": "PneumoniaMNIST (reassembled), 28 px", "breastmnist": "BreastMNIST, 28 px"}
METHODS = {"bayescope": "Bayescope", "resnet18": "MONAI ResNet-18, trained here on the same split"}
PUBLISHED = {
    "pneumoniamnist": {
        "ResNet-18, 28 px (MedMNIST v2)": (0.944, 0.854),
        "ResNet-50, 28 px (MedMNIST v2)": (0.948, 0.854),
        "ResNet-50, 224 px (MedMNIST v2)": (0.962, 0.884),
        "best of twelve (MedMNIST+)": (0.973, 0.866),
        "MedSymmFlow": (0.952, 0.880),
        "Google AutoML Vision": (0.991, 0.946),
    },
    "breastmnist": {
        "ResNet-18, 28 px (MedMNIST v2)": (0.901, 0.863),
        "AutoKeras": (0.871, 0.831),
        "best of twelve (MedMNIST+)": (0.891, 0.865),
        "Google AutoML Vision": (0.919, 0.861),
    },
}


def spread(values: list[float]) -> str:
    """Mean and standard deviation, or the value alone."""
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"


def medmnist(name: str) -> list[str]:
    """The table of one data set."""
    bar = BARS[name]
    lines = [
        f"### {TITLES[name]}",
        "",
        "| method | AUC | accuracy | seeds | training, s | passes per image |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for method, title in METHODS.items():
        files = sorted((RESULTS / "medmnist").glob(f"{name}-{method}-*.json"))
        records = [json.loads(file.read_text()) for file in files]
        if not records:
            lines.append(f"| {title} | not measured yet | | | | |")
            continue
        seconds = max(record["train_seconds"] for record in records)
        cells = [spread([record["test"][key] for record in records]) for key in ("auc", "accuracy")]
        threads, passes = records[0]["threads"], records[0]["passes"]
        lines.append(
            f"| {title} | {cells[0]} | {cells[1]} | {len(records)} | up to {seconds} on {threads} thread(s) | {passes} |"
        )
    lines.append(f"| *aim* | ≥ {bar[0]:.3f} | ≥ {bar[1]:.3f} | 3 | ≤ 900 on 2 cores | |")
    lines += [
        f"| {title}, published | {auc:.3f} | {accuracy:.3f} | | | |" for title, (auc, accuracy) in PUBLISHED[name].items()
    ]
    return [*lines, ""]


def phantom() -> list[str]:
    """The table of the phantom benchmark."""
    lines = [
        "## Phantom: masses and microcalcifications in 1/f³ texture",
        "",
        "    python benchmarks/phantom.py",
        "",
        "AUC of normal / mass / microcalcifications against the rest, their mean, and accuracy, on test images read once.",
        "",
        "| observer | AUC | mean AUC | accuracy | training, s | passes per image |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for file in sorted((RESULTS / "phantom").glob("seed-*.json")):
        record = json.loads(file.read_text())
        ours, ideal = record["bayescope"], record["ideal"]
        for title, entry, seconds, passes in (
            (f"Bayescope, seed {record['seed']}, {record['steps']} steps", ours, record["train_seconds"], record["passes"]),
            ("ideal observer, same images", ideal, "", ""),
        ):
            aucs = " / ".join(f"{value:.3f}" for value in entry["auc"])
            row = [title, aucs, f"{entry['mean_auc']:.3f}", f"{entry['accuracy']:.3f}", str(seconds), str(passes)]
            lines.append("| " + " | ".join(row) + " |")
    return [*lines, ""]


def main() -> None:
    notes = (RESULTS / "notes.md").read_text().splitlines()
    page = ["# Results", "", "Written by `python benchmarks/render.py` from the files in `benchmarks/results`.", ""]
    page += ["## MedMNIST", "", "    python benchmarks/medmnist.py --data FOLDER", ""]
    page += [
        "Nothing is chosen on the test split: levels, weights and epochs come from train and validation. Equal class prior.",
        "",
    ]
    page += [*medmnist("pneumoniamnist"), *medmnist("breastmnist"), *phantom(), *notes]
    PAGE.write_text("\n".join(page) + "\n")
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
