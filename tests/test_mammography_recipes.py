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
import pytest

from archives import phantom, write_cbis_ddsm, write_inbreast, write_vindr
from bayescope.checkpoint import load_model
from bayescope.config import dump_toml, parse_config, read_config
from bayescope.data.cache import read_cache, read_manifest
from conftest import Call
from mammograms import write_mammogram

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
ARCHIVES = {"cbis_ddsm": write_cbis_ddsm, "inbreast": write_inbreast, "vindr": write_vindr}
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
        manifest, data = read_manifest(cache), read_cache(cache)
        assert len(manifest["broken"]) == 1
        assert manifest["summary"]["left_out"]["file not found" if recipe != "cbis_ddsm" else "crop missing"] == 1
        groups = [set(images.groups or ()) for images in (data.train, data.val, data.test)]
        assert all(groups)
        assert len(set.union(*groups)) == sum(map(len, groups))
        assert all(len(np.unique(images.labels)) == 2 for images in (data.train, data.val, data.test))
    run = next(Path("runs").iterdir())
    assert load_model(run).preparation is not None
    told = cli("classify", run, "case.dcm", "--json")
    assert sum(json.loads(told.out)["posterior"].values()) == pytest.approx(1)
    tables = list(Path("comparisons").rglob("compare.md"))
    assert tables
    assert all("| ResNet-18 |" in table.read_text() for table in tables)


@pytest.mark.parametrize("recipe", sorted(ARCHIVES))
def test_configurations_are_read_and_named_in_the_commands(recipe: str) -> None:
    named = {word for arguments in commands(recipe) for word in arguments if word.endswith(".toml")}
    files = {f"recipes/{recipe}/{path.name}" for path in (RECIPES / recipe).glob("*.toml")}
    assert named == files
    for path in (RECIPES / recipe).glob("*.toml"):
        assert read_config(path).size is None
