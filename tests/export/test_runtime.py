"""The ratios of an exported graph are those of torch."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bayescope.data.dataset import Dataset
from bayescope.export.runtime import GraphDenoiser, load_model_on
from bayescope.runs.model_file import load_model
from conftest import Call, stripes

NATS = 1e-3
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("disagreement_rate", [0.0, 0.02, 0.2])
def test_ratios_agree(exported_run: Path, disagreement_rate: float) -> None:
    model, exported = load_model(exported_run), load_model_on(exported_run, "onnx")
    assert isinstance(exported.denoiser, GraphDenoiser)
    pixels = stripes(150, 11).pixels
    expected, found = (one.classify(pixels, None, disagreement_rate, trust_tests=True) for one in (model, exported))
    assert np.abs(found.log_likelihood_ratio - expected.log_likelihood_ratio).max() < NATS
    assert np.abs(found.standard_error - expected.standard_error).max() < NATS
    assert np.array_equal(found.passes, expected.passes)
    assert found.novelty is not None
    assert expected.novelty is not None
    np.testing.assert_allclose(found.novelty.score, expected.novelty.score, rtol=1e-3, atol=1e-3)


def test_passes_are_those_of_the_graph(exported_run: Path, tiny_data: Dataset) -> None:
    exported = load_model_on(exported_run, "onnx")
    denoiser = exported.denoiser
    assert isinstance(denoiser, GraphDenoiser)
    rows, graph = [], denoiser.graph

    def counted(*inputs):  # type: ignore[no-untyped-def]
        rows.append(len(inputs[-1]))
        return graph(*inputs)

    denoiser.graph = counted
    found = exported.classify(tiny_data.test.pixels, disagreement_rate=0.2)
    assert sum(rows) == found.passes.sum() > 0


def test_maps_and_samples_remain(exported_run: Path, tiny_data: Dataset) -> None:
    model, exported = load_model(exported_run), load_model_on(exported_run, "onnx")
    pixels = tiny_data.test.pixels[:2]
    np.testing.assert_array_equal(exported.evidence_maps(pixels).levels, model.evidence_maps(pixels).levels)
    np.testing.assert_array_equal(exported.sample(1, 2), model.sample(1, 2))


def test_classify_prints_the_same_ratios(cli: Call, exported_run: Path, tiny_data: Dataset, tmp_path: Path) -> None:
    for i, pixels in enumerate(tiny_data.test.pixels[:6]):
        Image.fromarray(pixels[0]).save(tmp_path / f"{i}.png")
    printed = [cli("classify", exported_run, tmp_path, "--runtime", word, "--json").out for word in ("torch", "onnx")]
    *torch, summary = map(json.loads, printed[0].splitlines())
    *onnx, same = map(json.loads, printed[1].splitlines())
    assert (len(torch), same) == (6, summary)
    for expected, found in zip(torch, onnx, strict=True):
        assert found["image"] == expected["image"]
        for name, ratio in expected["log_likelihood_ratio"].items():
            assert abs(found["log_likelihood_ratio"][name] - ratio) < NATS


def test_groups_have_the_same_ratios(cli: Call, exported_run: Path, tiny_data: Dataset, tmp_path: Path) -> None:
    rows = ["path,patient"]
    for i, pixels in enumerate(tiny_data.test.pixels[:6]):
        Image.fromarray(pixels[0]).save(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,{i // 2}")
    (tmp_path / "groups.csv").write_text("\n".join(rows))
    options = ("--by", "patient", "--groups", tmp_path / "groups.csv", "--json")
    files = [tmp_path / f"{i}.png" for i in range(6)]
    printed = [cli("classify", exported_run, *files, *options, "--runtime", word).out for word in ("torch", "onnx")]
    torch, onnx = ([record for record in map(json.loads, text.splitlines()) if "patient" in record] for text in printed)
    assert len(torch) == len(onnx) == 3
    for expected, found in zip(torch, onnx, strict=True):
        for name, ratio in expected["log_likelihood_ratio"].items():
            assert abs(found["log_likelihood_ratio"][name] - ratio) < NATS


def test_a_graph_of_another_model_is_refused(cli: Call, exported_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(exported_run, tmp_path / "run"))
    text = (run / "config.toml").read_text()
    (run / "config.toml").write_text(text.replace("disagreement_rate", "# \ndisagreement_rate"))
    told = cli("classify", run, tmp_path, "--runtime", "onnx")
    assert told.code == 2
    assert "is of another model" in told.err
