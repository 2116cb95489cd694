"""MONAI's networks at small sizes, and the recipe that trains them."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bayescope.data.dataset import Dataset
from bayescope.errors import ConfigError
from bayescope.evaluation.compare import training
from bayescope.evaluation.compare.networks import NETWORKS, build_network
from bayescope.evaluation.compare.training import Recipe, TrainedNetwork, load_network, save_network, train_network
from bayescope.metrics.delong import auc
from conftest import stripes

TINY = Recipe(steps=20, batch_size=8, checks=5)


@pytest.fixture(scope="module")
def trained(tiny_data: Dataset) -> TrainedNetwork:
    return train_network("resnet18", tiny_data, 3, TINY)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vit", "efficientnet-b0", "densenet121"])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 30, 41)])
def test_every_network_takes_small_images(name: str, shape: tuple[int, int, int]) -> None:
    with torch.inference_mode():
        logits = build_network(name, shape, 3).eval()(torch.randn(2, *shape))
    assert logits.shape == (2, 3)
    assert torch.isfinite(logits).all()


def test_names_and_sizes() -> None:
    assert {name: network.input_size((1, 28, 28)) for name, network in NETWORKS.items()} == {
        "resnet18": (28, 28),
        "resnet50": (28, 28),
        "densenet121": (64, 64),
        "efficientnet-b0": (64, 64),
        "vit": (28, 28),
    }
    assert NETWORKS["vit"].input_size((1, 200, 90)) == (200, 96)
    with pytest.raises(ConfigError, match=r"'resnet19'; expected one or more of resnet18"):
        build_network("resnet19", (1, 28, 28), 2)


@pytest.mark.parametrize("missing", ["monai.networks", "einops"])
def test_without_monai_the_extra_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigError, match=r"pip install 'bayescope\[compare\]'"):
        build_network("vit", (1, 28, 28), 2)


@pytest.mark.slow
def test_learns_and_repeats_itself(trained: TrainedNetwork, tiny_data: Dataset) -> None:
    again = train_network("resnet18", tiny_data, 3, TINY)
    first, second = (network.predict(tiny_data.test.pixels) for network in (trained, again))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first.sum(axis=1), 1)
    assert auc(first, tiny_data.test.labels) > 0.9


@pytest.mark.slow
def test_keeps_the_best_weights_and_stops_early(tiny_data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []

    def falling_from_the_second(posterior: np.ndarray, labels: np.ndarray) -> float:
        seen.append(posterior)
        return [0.6, 0.8, 0.8, 0.7, 0.6][len(seen) - 1]

    monkeypatch.setattr(training, "auc", falling_from_the_second)
    trained = train_network("vit", tiny_data, 0, Recipe(steps=20, batch_size=8, checks=10, patience=3))
    assert (len(seen), trained.steps) == (5, 10)
    np.testing.assert_allclose(trained.predict(tiny_data.val.pixels), seen[1], atol=1e-6)
    assert not np.allclose(seen[1], seen[4], atol=1e-4)


def test_classes_weigh_alike_however_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    many = stripes(40, 1)
    train = many.subset(np.r_[np.flatnonzero(many.labels == 0), np.flatnonzero(many.labels == 1)[:4]])
    weights = []
    cross_entropy = torch.nn.functional.cross_entropy

    def spy(logits: torch.Tensor, labels: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        weights.append(weight.numpy())
        return cross_entropy(logits, labels, weight=weight)

    monkeypatch.setattr(training.F, "cross_entropy", spy)
    train_network("vit", Dataset(train, many, many, "rare"), 0, Recipe(steps=1, batch_size=4))
    np.testing.assert_allclose(weights[0] * np.bincount(train.labels), len(train) / 2)


def test_usual_budget_is_forty_passes_or_sixteen_hundred_steps() -> None:
    assert Recipe.usual(546).steps == 1600
    assert Recipe.usual(4708).steps == 40 * 73


@pytest.mark.slow
def test_a_saved_network_answers_as_before(trained: TrainedNetwork, tiny_data: Dataset, tmp_path: Path) -> None:
    save_network(tmp_path / "net.safetensors", trained)
    again, pixels = load_network(tmp_path / "net.safetensors"), tiny_data.test.pixels
    np.testing.assert_array_equal(again.predict(pixels), trained.predict(pixels))
    features = again.features(pixels)
    assert features.shape == (len(pixels), 512)
    last = again.net.net.fc
    np.testing.assert_allclose(
        features @ last.weight.detach().numpy().T + last.bias.detach().numpy(), again.logits(pixels), rtol=1e-4, atol=1e-4
    )
