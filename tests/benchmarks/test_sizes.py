"""The benchmark of sizes: its recipes are configurations, the network gets the time it is to have, and tables show all rows."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks.sizes import CHECKS, HELD_OUT, RECIPES, network_recipe, split_by_name
from benchmarks.store import Store
from benchmarks.tables.sizes import PUBLISHED, section

from bayescope.config import parse_config, read_config
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.evaluation.compare.training import TrainedNetwork
from benchmarks import sizes, store


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_recipe_is_a_configuration_of_a_known_set_and_size(path: Path) -> None:
    name, pixels = path.stem.split("-")
    assert (name, int(pixels)) in PUBLISHED
    assert read_config(path).size is None


@pytest.mark.parametrize(("seconds", "steps"), [(0.0, CHECKS), (1000.0, 480)])
def test_the_network_takes_as_many_steps_as_fit(
    tiny_data: Dataset, monkeypatch: pytest.MonkeyPatch, seconds: float, steps: int
) -> None:
    clock = [0.0]

    class Network:
        def predict(self, pixels: object) -> None:
            clock[0] += 1.0  # a check

    def train(*_: object) -> TrainedNetwork:
        clock[0] += 1.0 + 2.0 * sizes.TRIAL_STEPS
        return Network()  # type: ignore[return-value]

    monkeypatch.setattr(sizes, "train_network", train)
    monkeypatch.setattr(sizes.time, "process_time", lambda: clock[0])
    recipe = network_recipe(tiny_data, parse_config({"training": {"batch_size": 8}}), 0, seconds)
    assert (recipe.steps, recipe.checks, recipe.batch_size) == (steps, CHECKS, 8)


def test_the_table_has_every_row_beside_the_published_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "RESULTS", tmp_path)
    score = {"auc": 0.9, "accuracy": 0.8}
    ours = {f"{part}{way}": score for part in ("val", "test") for way in ("", "_bound", "_early")}
    ours["test_early"] = score | {"passes": 6.0, "ms": 12.0}
    cost = {"training": {"elapsed": 120.0, "processor": 60.0}, "steps": 10, "passes": 32, "test_ms": 50.0}
    Store("sizes").put("breast-64-bayescope-0", ours | cost)
    Store("sizes").put("breast-64-resnet18-0", {"val": score, "test": score} | cost)
    rows = [line for line in section() if line.startswith("|")]
    assert len(rows) == 2 + 5
    assert len({line.count("|") for line in rows}) == 1
    assert "0.917" in rows[-1]


def _named_images(each: int) -> ImageSet:
    """In turn: normal ones of either series, pneumonia by bacteria and by viruses."""
    of_turn = ("normal/NORMAL2-IM-{}.jpeg", "normal/IM-{}.jpeg", "sick/person{}_bacteria_1.jpeg", "sick/person{}_virus_2.jpeg")
    names = tuple(name.format(i) for i in range(each) for name in of_turn)
    return ImageSet(np.zeros((len(names), 1, 2, 2), np.uint8), np.array(each * [0, 0, 1, 1]), ("normal", "sick"), names)


def test_images_of_other_file_names_are_held_out_to_choose_by() -> None:
    test = _named_images(1)
    split = split_by_name(Dataset(_named_images(HELD_OUT + 5), _named_images(2), test, source="chest", notes=()))
    assert all("NORMAL2" in name or "bacteria" in name for name in split.train.names)
    assert all("NORMAL2" not in name and "bacteria" not in name for name in split.val.names)
    assert np.bincount(split.val.labels).tolist() == [HELD_OUT, HELD_OUT]
    assert len(split.train) == 2 * (HELD_OUT + 5)
    assert split.test is test
