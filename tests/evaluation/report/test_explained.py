"""What a report shows of one image is of the class that wins it, in a model of three classes."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bayescope.data.dataset import ImageSet
from bayescope.evaluation.report import explained
from bayescope.evaluation.report.explained import explain_images

PIXELS = np.arange(5 * 1 * 2 * 3, dtype=np.uint8).reshape(5, 1, 2, 3)
IMAGES = ImageSet(PIXELS, np.array([0, 1, 2, 0, 1]), ("a", "b", "c"), tuple("vwxyz"))
PRIOR = np.array([0.2, 0.3, 0.5])


def explanation(pixels: Any) -> Any:
    """Numbers that differ in everything: of image, class and pixel."""
    winner = int(pixels[0, 0, 0, 0]) // 6 % 3
    numbers = pixels[0, 0, 0, 0] + np.array([[0.125, 0.25, 0.5]])
    predictions = SimpleNamespace(posterior=numbers / 100, log_likelihood_ratio=numbers, standard_error=numbers / 10)
    change = torch.arange(2 * 2 * 3, dtype=torch.float64).reshape(1, 2, 2, 3)
    image = torch.full((1, 1, 2, 3), float(pixels[0, 0, 0, 0]))
    counterfactual = SimpleNamespace(image=image, change=change)
    total = np.full((1, 2, 3), float(winner))
    return SimpleNamespace(
        predictions=predictions,
        winner=winner,
        other=(winner + 1) % 3,
        evidence_map=SimpleNamespace(total=total),
        counterfactual=counterfactual,
    )


@pytest.mark.parametrize("has_sets", [True, False])
def test_numbers_are_those_of_the_winning_class(monkeypatch: pytest.MonkeyPatch, has_sets: bool) -> None:
    asked: list[Any] = []

    def explain(model: Any, pixels: Any, class_prior: Any, counterfactual_sigma: float) -> Any:
        asked.append((class_prior, counterfactual_sigma))
        return explanation(pixels)

    monkeypatch.setattr(explained, "explain", explain)
    decision = SimpleNamespace(describe=lambda names, i: f"{names} {i}")
    scale = SimpleNamespace(to_display=lambda x: x[:, 0] + 1)
    model: Any = SimpleNamespace(scale=scale, class_names="names", decide=lambda predictions: decision if has_sets else None)
    advanced: list[int] = []
    found = explain_images(model, IMAGES, PRIOR, [4, 1], advanced.append)
    assert (list(found), advanced) == ([4, 1], [1, 1])
    assert all(prior is PRIOR and sigma == 1.0 for prior, sigma in asked)
    for i, shown in found.items():
        k, first = i % 3, 6 * i
        number = first + (0.125, 0.25, 0.5)[k]
        assert (shown.winner, shown.other) == (k, (k + 1) % 3)
        assert (shown.probability, shown.log_likelihood_ratio) == (number / 100, number)
        assert shown.standard_error == number / 10
        np.testing.assert_array_equal(shown.evidence, np.full((2, 3), k))
        np.testing.assert_array_equal(shown.counterfactual, np.full((2, 3), first + 1))
        np.testing.assert_array_equal(shown.change, np.arange(6).reshape(2, 3) + 3)
        assert shown.decided == ("names 0" if has_sets else "")
