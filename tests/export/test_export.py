"""What an export writes, and that half precision is measured before it is trusted."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.export import ExportedProgram

from bayescope.data.dataset import Dataset
from bayescope.diffusion.denoiser import Denoiser
from bayescope.evidence.level_weights import LevelWeights
from bayescope.export.description import describe
from bayescope.export.export import Exported, export_run
from bayescope.export.formats import FORMATS
from bayescope.export.graph import INPUTS, trace
from bayescope.export.runtime import graph_file
from bayescope.runs.model_file import load_model, model_fingerprint, save_model
from conftest import Call


def test_files_are_named_after_the_graph() -> None:
    found = Exported.beside(Path("a/b.onnx"), 0.01)
    assert found.to_dict() == {
        "graph": "a/b.onnx",
        "description": "a/b.onnx.json",
        "noise": "a/b.onnx.npy",
        "difference": 0.01,
    }


def test_the_plan_is_that_of_the_model(tiny_run: Path) -> None:
    model = load_model(tiny_run)
    found = describe(model, "abc")
    assert model.plan is not None
    assert found["plan"] == {"level": model.plan.order.tolist(), "noise": model.plan.noise_index.tolist()}
    assert found["half_precision"] is None
    assert found["sigmas"] == model.sigmas.tolist()
    assert found["calibration"]["kind"] == model.calibration.kind
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.slow
def test_a_stranger_can_score_in_full(exported_run: Path, tiny_data: Dataset) -> None:
    """By onnxruntime, NumPy and the files alone."""
    from onnxruntime import InferenceSession

    session = InferenceSession(str(exported_run / "model.onnx"))
    about = json.loads((exported_run / "model.onnx.json").read_text())
    noise = np.load(exported_run / "model.onnx.npy")
    low, high = about["images"]["scale"]["low"], about["images"]["scale"]["high"]
    pixels = tiny_data.test.pixels[:4]
    x = ((pixels - low) / (high - low) * 2 - 1).astype(np.float32)
    n_classes = len(about["class_names"])
    feed = {"x": x, "image": np.arange(4).repeat(n_classes), "label": np.tile(np.arange(n_classes), 4)}
    values = np.empty((4, n_classes, len(about["sigmas"]), about["noises"]))
    for k, sigma in enumerate(about["sigmas"]):
        for j in range(about["noises"]):
            given = feed | {"noise": noise[k, j], "sigma": np.array(sigma, np.float32)}
            values[:, :, k, j] = session.run(["evidence"], given)[0].reshape(4, -1)
    weights = about["level_weights"]
    evidence = values.mean(axis=3) @ np.array(weights["weights"]) + np.array(weights["class_bias"])
    model = load_model(exported_run)
    expected = model.level_weights.evidence(model.level_evidence(pixels))
    contrast = np.eye(n_classes) - 1 / n_classes
    np.testing.assert_allclose(evidence @ contrast, expected @ contrast, atol=1e-3)


@pytest.fixture(scope="module")
def half_program(tiny_run: Path) -> ExportedProgram:
    """The graph of the tiny run in half precision."""
    return trace(load_model(tiny_run).denoiser, half=True)


@pytest.fixture
def traced_in_half(half_program: ExportedProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports of the tiny run in half precision share one graph, which is slow to trace."""

    def traced(denoiser: Denoiser, half: bool) -> ExportedProgram:
        assert half
        return half_program

    monkeypatch.setattr("bayescope.export.export.trace", traced)


@pytest.mark.slow
@pytest.mark.usefixtures("traced_in_half")
@pytest.mark.parametrize("kind", FORMATS)
def test_half_precision_that_keeps_the_ratios(exported_run: Path, tiny_npz: Path, tmp_path: Path, kind: str) -> None:
    half = export_run(exported_run, kind, tmp_path / "half", half=True, data=tiny_npz)
    assert half.difference is not None
    assert 0 < half.difference <= 0.05
    assert json.loads(half.description.read_text())["half_precision"] == {"largest_change_of_a_ratio": half.difference}
    assert half.graph.stat().st_size < graph_file(exported_run, kind).stat().st_size


@pytest.mark.slow
@pytest.mark.usefixtures("traced_in_half")
def test_half_precision_that_changes_ratios_is_refused(cli: Call, tiny_run: Path, tiny_npz: Path, tmp_path: Path) -> None:
    """Level weights of 2000 times the size enlarge what rounding does."""
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    model = load_model(run)
    weights = model.level_weights
    loud = model.with_post_hoc(level_weights=LevelWeights(2000 * weights.weights, weights.class_bias))
    save_model(run, loud)
    told = cli("export", run, "--format", "torch-export", "--half", "--data", tiny_npz)
    assert told.code == 2
    assert "half precision changes log-likelihood ratios of 30 held-out images" in told.err
    assert not list(run.glob("model.pt2*"))


@pytest.mark.slow
def test_nothing_is_replaced_without_force(cli: Call, exported_run: Path) -> None:
    before = (exported_run / "model.pt2").read_bytes()
    told = cli("export", exported_run, "--format", "torch-export")
    assert told.code == 2
    assert "--force" in told.err
    assert (exported_run / "model.pt2").read_bytes() == before


@pytest.mark.slow
def test_the_command_prints_its_files(cli: Call, tiny_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.pt2"
    told = cli("export", tiny_run, "--format", "torch-export", "--out", out, "--json")
    assert told.code == 0, told.err
    assert not told.err.strip()
    assert json.loads(told.out) == Exported.beside(out).to_dict()
    program = torch.export.load(out, extra_files=(kept := {"bayescope": ""}))
    assert kept == {"bayescope": model_fingerprint(tiny_run)}
    assert [node.name for node in program.graph.nodes if node.op == "placeholder"][-5:] == list(INPUTS)
    assert json.loads((tmp_path / "a.pt2.json").read_text())["fingerprint"] == model_fingerprint(tiny_run)
