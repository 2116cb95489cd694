"""The commands in the mammography recipes run as they stand, from the archive to the comparison.

On phantom archives in the layout each README says to download to, with its own configuration made tiny and its images small.
"""

import json
import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from archives import BROKEN, FOR_PROCESSING_STUDIES, phantom, write_cbis_ddsm, write_inbreast, write_vindr
from bayescope.config import dump_toml, parse_config, read_config
from bayescope.data.archives.base import Archive
from bayescope.data.archives.cbis_ddsm import read_cbis_ddsm
from bayescope.data.archives.inbreast import read_inbreast
from bayescope.data.archives.vindr import read_vindr
from bayescope.data.load import load_dataset
from bayescope.data.preparation.cache import CASES, IMAGES
from bayescope.data.preparation.mammogram import WHITE, Preparation
from bayescope.data.preparation.manifest import read_manifest
from bayescope.data.preparation.prepare import prepare
from bayescope.runs.model_file import load_model
from conftest import Call
from mammograms import write_mammogram

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
ARCHIVES = {"cbis_ddsm": write_cbis_ddsm, "inbreast": write_inbreast, "vindr": write_vindr}
READERS: dict[str, Callable[[Path], Archive]] = {
    "cbis_ddsm": lambda source: read_cbis_ddsm(source, "mass-roi"),
    "inbreast": read_inbreast,
    "vindr": read_vindr,
}
SEEDS: dict[str, Callable[[dict[str, Any]], int]] = {
    "cbis_ddsm": lambda case: int(case["patient"][2:]),
    "inbreast": lambda case: int(case["patient"][-4:], 16),
    "vindr": lambda case: 2 * int(case["patient"][5:]) + (case["side"] == "R"),
}
SMALLER = {"--size": "24", "--networks": "resnet18", "--seeds": "0", "--workers": "1"}
TINY = {
    "net": {"widths": [8, 8]},
    "training": {"steps": 6, "batch_size": 8, "validate_every": 6, "warmup_steps": 2},
    "evidence": {"levels": 3, "noises": 2},
}
ORDER = ["prepare", "train", "evaluate", "report", "classify", "compare"]


def commands(recipe: str) -> list[list[str]]:
    """Of the blocks marked as shell, those of Bayescope, in order."""
    text = (RECIPES / recipe / "README.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("bayescope ")]


def smaller(arguments: list[str]) -> list[str]:
    """The same command with small images, one network and one seed."""
    return [SMALLER.get(before, word) for before, word in zip(["", *arguments], arguments, strict=False)]


def write_tiny(source: Path, to: Path) -> None:
    """A recipe's configuration, few steps of a small network instead."""
    values: dict[str, Any] = tomllib.loads(source.read_text())
    for section, changes in TINY.items():
        values[section] = values.get(section, {}) | changes
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(dump_toml(parse_config(values | {"device": "cpu", "precision": "32-true"})))


@pytest.mark.slow
@pytest.mark.parametrize("recipe", sorted(ARCHIVES))
@pytest.mark.usefixtures("few_cases", "one_process")
def test_the_commands_of_a_recipe_run(recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Call) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = commands(recipe)
    assert list(dict.fromkeys(arguments[0] for arguments in wanted)) == ORDER
    write: Callable[[Path], Path] = ARCHIVES[recipe]
    write(Path(wanted[0][2]))
    for source in (RECIPES / recipe).glob("*.toml"):
        write_tiny(source, Path("recipes") / recipe / source.name)
    write_mammogram(Path("case.dcm"), phantom(99, sick=True)[:, ::-1], "R", inverted=True)
    for arguments in map(smaller, wanted):
        told = cli(*arguments)
        assert told.code == 0, (arguments, told.err)
    caches = sorted(Path("caches").iterdir())
    assert caches
    for cache in caches:
        manifest, data = read_manifest(cache), load_dataset(cache)
        assert len(manifest.broken) == BROKEN[recipe]
        assert manifest.summary.left_out["file not found" if recipe != "cbis_ddsm" else "crop missing"] == 1
        groups = [set(images.groups or ()) for images in (data.train, data.val, data.test)]
        assert all(groups)
        assert len(set.union(*groups)) == sum(map(len, groups))
        assert all(len(np.unique(images.labels)) == 2 for images in (data.train, data.val, data.test))
    run = next(Path("runs").iterdir())
    assert load_model(run).preparation is not None
    told = cli("classify", run, "case.dcm", "--json")
    assert sum(json.loads(told.out)["posterior"].values()) == pytest.approx(1)
    assert "FOR PROCESSING" not in told.err
    write_mammogram(Path("raw.dcm"), phantom(98, sick=True), PresentationIntentType="FOR PROCESSING")
    assert "raw.dcm: a FOR PROCESSING image" in cli("classify", run, "raw.dcm", "--json").err
    trained_on = next(cache for cache in caches if load_dataset(cache).preparation == load_model(run).preparation)
    told = cli("classify", run, trained_on, "--json", "--split", "val")
    assert len(told.out.splitlines()) == len(load_dataset(trained_on).val)
    tables = list(Path("comparisons").rglob("compare.md"))
    assert tables
    assert all("| ResNet-18 |" in table.read_text() for table in tables)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", sorted(ARCHIVES))
@pytest.mark.usefixtures("one_process")
def test_the_traps_of_an_archive_leave_no_trace(recipe: str, tmp_path: Path) -> None:
    """Inverted, padded, windowed, compressed or mirrored: what is prepared is the phantom it was made of."""
    source, out = ARCHIVES[recipe](tmp_path / "source"), tmp_path / "cache"
    of_whole = recipe != "cbis_ddsm"
    preparation = Preparation(32, crop=of_whole, orient=of_whole)
    prepare(READERS[recipe](source), preparation, out, source, workers=1)
    table, pixels = pd.read_parquet(out / CASES), np.load(out / IMAGES)
    for row, case in enumerate(table.to_dict("records")):
        sick = case["label"] in ("malignant", "BI-RADS 4-6", "BI-RADS 4-5")
        image = phantom(SEEDS[recipe](case), sick)
        if not of_whole:
            image = image[40:76, 4:40][:, :: 1 if case["side"] == "L" else -1]
        expected = preparation.apply(image).pixels.astype(float)
        assert np.abs(pixels[row] - expected).mean() < 0.01 * WHITE, case
        assert (case["header_side"], case["header_view"]) == (case["side"], case["view"])
    if of_whole:
        steps = {step for steps in table["applied"] for step in steps.split("; ") if step}
        assert steps == {"window 1 of 2", "MONOCHROME1 inverted", "padding 0 to 0 darkest", "padding 0 to 5 darkest"}
        together = table["applied"].str.count(";")
        assert together.max() == 2
    assert {(side, view) for side in "LR" for view in table["view"].unique()} == set(
        zip(table["side"], table["view"], strict=True)
    )
    manifest = read_manifest(out)
    assert len(manifest.broken) == BROKEN[recipe]
    marked = table["presentation"] == "FOR PROCESSING"
    if recipe == "vindr":
        assert set(table.loc[marked, "patient"]) == {f"study{study}" for study in FOR_PROCESSING_STUDIES}
        assert any("2 frames; expected one" in reason for reason in manifest.broken.values())
    assert manifest.for_processing == marked.sum() == 2 * len(FOR_PROCESSING_STUDIES) * (recipe == "vindr")
    warned = [note for note in load_dataset(out).notes if "are FOR PROCESSING" in note]
    assert len(warned) == (recipe == "vindr")


@pytest.mark.parametrize("recipe", sorted(ARCHIVES))
def test_configurations_are_read_and_named_in_the_commands(recipe: str) -> None:
    named = {word for arguments in commands(recipe) for word in arguments if word.endswith(".toml")}
    files = {f"recipes/{recipe}/{path.name}" for path in (RECIPES / recipe).glob("*.toml")}
    assert named == files
    for path in (RECIPES / recipe).glob("*.toml"):
        assert read_config(path).size is None
