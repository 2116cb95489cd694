"""``bayescope sample``: a row of samples a class, as they are, in one picture."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cli.spies import answered, bars
from conftest import Call

SAMPLES = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)
"""Of two classes, three images of 4 by 5."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the model was asked for."""
    calls: list[Any] = []

    def sample(per_class: int, steps: int, seed: int) -> Any:
        calls.append((per_class, steps, seed))
        return SAMPLES

    scale = SimpleNamespace(to_display=lambda row: row + 100)
    model = SimpleNamespace(sample=sample, scale=scale, class_names=("upper", "lower"))
    calls.append(answered(monkeypatch, "runs.model_file:load_model", model))
    calls.append(bars(monkeypatch, "sample"))
    return calls


def test_samples_are_rows_of_a_picture(cli: Call, asked: list[Any], tmp_path: Path) -> None:
    out = tmp_path / "s.png"
    told = cli("sample", "run", "--out", out, "--per-class", 3, "--steps", 7, "--seed", 2, "--device", "cpu")
    assert (told.code, told.out) == (0, f"{out}: rows upper, lower\n")
    loaded, shown, sampled = asked
    assert loaded == [{"run": Path("run"), "device": "cpu"}]
    assert shown == [("sampling", 1, False)]
    assert sampled == (3, 7, 2)
    with Image.open(out) as picture:
        assert picture.format == "PNG"
        found = np.asarray(picture)
    for k in range(2):
        for i in range(3):
            np.testing.assert_array_equal(found[4 * k : 4 * k + 4, 5 * i : 5 * i + 5], SAMPLES[k, i] + 100)


def test_defaults(cli: Call, asked: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli("sample", "run").out == "samples.png: rows upper, lower\n"
    assert asked[0] == [{"run": Path("run"), "device": "auto"}]
    assert asked[2] == (8, 24, 0)
    assert cli("sample", "run").code == 2
    assert len(asked) == 3
    assert cli("sample", "run", "--force").code == 0
