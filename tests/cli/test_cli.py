"""The command line by hand: what it prints, what it writes, its exit codes, and bad input."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bayescope.config import Config, dump_toml, read_config
from bayescope.data.dataset import Dataset
from bayescope.errors import ConfigError
from bayescope.runs.files import MANIFEST, MODEL
from bayescope.runs.model_file import FORMAT
from conftest import write_npz


@pytest.fixture
def pictures(tiny_data: Dataset, tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"case-{i}.png" for i in range(3)]
    for path, pixels in zip(paths, tiny_data.test.pixels, strict=False):
        Image.fromarray(pixels[0]).save(path)
    return paths


@pytest.mark.slow
@pytest.mark.usefixtures("few_cases")
def test_train_with_images_without_labels(cli: Any, tiny_npz: Path, config_file: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    more, other = tmp_path / "more.npz", tmp_path / "other.npz"
    for path in (more, other):
        np.savez(path, images=rng.integers(0, 256, (10, 8, 12), dtype=np.uint8))
    run, beside = tmp_path / "run", ("train", tiny_npz, "--out", tmp_path / "run", "--config", config_file)
    result = cli(*beside, "--unlabelled", more)
    assert result.code == 0
    assert "60 images of 2 classes and 10 without labels" in " ".join(result.out.split())
    assert f"10 images without labels from {more}" in json.loads((run / "run.json").read_text())["notes"]
    assert cli(*beside, "--unlabelled", more, "--resume").code == 0
    for changed in ((), ("--unlabelled", other)):
        refused = cli(*beside, *changed, "--resume")
        assert refused.code != 0
        assert "give the same --unlabelled" in " ".join(refused.err.split())
    assert cli("evaluate", run, tiny_npz).code == 0
    report = cli("report", run, "--out", tmp_path / "report.html")
    assert report.code == 0, report.err


@pytest.mark.slow
def test_train_from_another_run(cli: Any, tiny_npz: Path, tiny_run: Path, config_file: Path, tmp_path: Path) -> None:
    begin = ("train", tiny_npz, "--out", tmp_path / "run", "--config", config_file)
    assert cli(*begin, "--init", tiny_run).code == 0
    assert "init" in json.loads((tmp_path / "run" / "run.json").read_text())
    assert "give the same --init" in " ".join(cli(*begin, "--resume").err.split())
    assert cli(*begin, "--init", tiny_run, "--resume").code == 0
    assert "expected a run folder" in " ".join(cli(*begin, "--init", tmp_path / "none", "--force").err.split())


@pytest.mark.slow
@pytest.mark.usefixtures("few_cases")
def test_train_evaluate_report_sample(cli: Any, tiny_npz: Path, config_file: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert cli("train", tiny_npz, "--out", run, "--config", config_file).code == 0
    assert {"config.toml", "model.safetensors", "state.safetensors", "metrics.jsonl", "run.json"} <= {
        path.name for path in run.iterdir()
    }
    result = cli("evaluate", run, tiny_npz, "--json")
    assert json.loads(result.out)["measures"]["AUC"]["value"] > 0.9
    assert "accuracy" in cli("evaluate", run, tiny_npz).out
    assert cli("report", run).code == 0
    page = (run / "report.html").read_text()
    drawn = re.findall(r"<figcaption>([^<]*)</figcaption>(?=<svg)", page)
    assert {"ROC curve, class against the rest", "Confusion matrix, true and called class", "Risk and coverage"} < set(drawn)
    assert page.count("<figcaption>") == len(drawn)
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "--force" in cli("report", run).err
    assert cli("report", run, "--data", tiny_npz, "--force", "--split", "val").code == 0
    assert cli("sample", run, "--out", tmp_path / "s.png", "--per-class", 3, "--steps", 3).code == 0
    assert Image.open(tmp_path / "s.png").size == (36, 16)


def test_classify_prints_a_table_and_json(cli: Any, tiny_run: Path, pictures: list[Path]) -> None:
    assert "upper" in cli("classify", tiny_run, *pictures).out
    lines = [json.loads(line) for line in cli("classify", tiny_run, *pictures, "--json").out.splitlines()]
    assert [line["class"] for line in lines] == ["upper", "lower", "upper"]
    assert sum(lines[0]["posterior"].values()) == pytest.approx(1)
    fields = {"image", "class", "posterior", "posterior_error", "log_likelihood_ratio", "standard_error", "passes"}
    trust = {
        "prevalence",
        "seen",
        "calibrated",
        "calibration_images",
        "prediction_set",
        "abstained",
        "novelty_p_value",
        "warnings",
    }
    assert set(lines[0]) == fields | trust | {"raw_log_likelihood_ratio"}


def test_prevalence_moves_the_posterior_by_the_prior_odds(cli: Any, tiny_run: Path, pictures: list[Path]) -> None:
    def odds(*options: str) -> float:
        posterior = json.loads(cli("classify", tiny_run, pictures[0], "--json", *options).out)["posterior"]
        return float(np.log(posterior["upper"] / posterior["lower"]))

    assert odds("--prevalence", "0.2,0.8") - odds() == pytest.approx(np.log(0.25), abs=1e-6)


def test_classify_reports_bad_files_and_goes_on(cli: Any, tiny_run: Path, pictures: list[Path], tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "small.png")
    Image.fromarray(np.arange(288, dtype=np.uint8).reshape(8, 12, 3)).save(tmp_path / "colour.png")
    bad = [tmp_path / name for name in ("empty.png", "small.png", "colour.png", "missing.png")]
    result = cli("classify", tiny_run, bad[0], pictures[0], *bad[1:], pictures[1], "--json")
    assert result.code == 1
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert [line["image"] for line in lines if "class" in line] == [str(path) for path in pictures[:2]]
    errors = {line["image"]: line["error"] for line in lines if "error" in line}
    assert list(errors) == [str(path) for path in bad]
    assert all(error.startswith(f"{path}: ") for path, error in errors.items())
    assert len(lines) == 2 + len(bad)
    for name in ("empty.png", "small.png", "colour.png", "missing.png"):
        assert name in result.err


@pytest.mark.parametrize("text", ["0.5,0.6", "1", "a,b", "0,1"])
def test_bad_prevalence(cli: Any, tiny_run: Path, pictures: list[Path], text: str) -> None:
    result = cli("classify", tiny_run, pictures[0], "--prevalence", text)
    assert result.code == 2
    assert "expected" in result.err


def test_an_empty_prevalence_is_refused_and_not_taken_for_none(cli: Any, tiny_run: Path, tiny_npz: Path) -> None:
    for command in (("evaluate", tiny_run, tiny_npz), ("report", tiny_run, "--data", tiny_npz, "--force")):
        result = cli(*command, "--prevalence", "")
        assert result.code == 2
        assert "prevalence ''" in result.err


def test_existing_out_is_kept_without_force(cli: Any, tiny_npz: Path, config_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("precious")
    for options in ([], ["--force"]):
        result = cli("train", tiny_npz, "--out", out, "--config", config_file, *options)
        assert result.code == 2
        assert "exists" in result.err
    assert (out / "thesis.txt").read_text() == "precious"


def test_run_folder_of_another_version_or_damaged(
    cli: Any, tiny_run: Path, tiny_npz: Path, pictures: list[Path], tmp_path: Path
) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "copy"))
    content = (run / MODEL).read_bytes()
    (run / MODEL).write_bytes(content.replace(b'\\"format\\": %d' % FORMAT, b'\\"format\\": 9', 1))
    assert "format 9" in cli("classify", run, pictures[0]).err
    (run / MODEL).write_bytes(content[: len(content) // 2])
    assert "cannot be read" in cli("classify", run, pictures[0]).err
    (run / MODEL).unlink()
    assert "has not finished" in cli("classify", run, pictures[0]).err
    assert cli("classify", tmp_path / "nowhere", pictures[0]).code == 2
    manifest = json.loads((run / MANIFEST).read_text())
    for text, message in (
        ("{", f"{run / MANIFEST}: cannot be read"),
        (json.dumps(manifest | {"format": FORMAT - 1}), f"run folder of format {FORMAT - 1}; this version of Bayescope reads"),
    ):
        (run / MANIFEST).write_text(text)
        before = {path.name: path.read_bytes() for path in run.iterdir()}
        result = cli("train", tiny_npz, "--out", run, "--resume")
        assert (result.code, message in result.err) == (2, True)
        assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_unwritable_folder(cli: Any, tiny_npz: Path, config_file: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = cli("train", tiny_npz, "--out", tmp_path / "file" / "run", "--config", config_file)
    assert result.code == 2
    assert "cannot be written" in result.err


def test_full_disk_keeps_the_last_checkpoint(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bayescope.errors import RunError
    from bayescope.runs import files

    target = tmp_path / "state"
    files.write_atomically(target, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(RunError, match="No space left"):
        files.write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[training]\nstep = 3", "training.step: unknown key"),
        ("[training]\nsteps = 0", "training.steps"),
        ("[training]\nsteps = 'many'", "training.steps"),
        ("[evidence]\nsigma_min = 3.0\nsigma_max = 1.0", "must be below"),
        ("seed = = 1", "not valid TOML"),
        ("[net]\nwidths = []", "net.widths"),
    ],
)
def test_bad_configuration(cli: Any, tiny_npz: Path, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    result = cli("train", tiny_npz, "--out", tmp_path / "run", "--config", tmp_path / "bad.toml")
    assert result.code == 2
    assert message in result.err
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError):
        read_config(tmp_path / "none.toml")


def test_configuration_round_trip(tiny_config: Config, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(dump_toml(tiny_config))
    assert read_config(tmp_path / "c.toml") == tiny_config


def test_evaluate_with_other_classes(cli: Any, tiny_run: Path, tiny_data: Dataset, tmp_path: Path) -> None:
    from dataclasses import replace

    three = {
        name: replace(split, labels=np.arange(len(split)) % 3, class_names=("a", "b", "c"))
        for name, split in (("train", tiny_data.train), ("val", tiny_data.val), ("test", tiny_data.test))
    }
    path = write_npz(tmp_path / "three.npz", Dataset(**three, source="three"))
    assert "the model expects upper, lower" in cli("evaluate", tiny_run, path).err
    assert "expected one of auto, all, train, val, test" in cli("evaluate", tiny_run, path, "--split", "whole").err


def test_help_version_and_unknown_options(cli: Any) -> None:
    assert cli("--version").out.startswith("bayescope ")
    for name in ("demo", "train", "evaluate", "classify", "explain", "report", "sample"):
        result = cli(name, "--help")
        assert result.code == 0
        assert "Example" in result.out
    assert cli("train").code == 2
    assert cli("fly").code == 2


def test_help_does_not_wait_for_the_network_library() -> None:
    told = "import sys, bayescope.cli.main; print([name for name in ('torch', 'scipy', 'sklearn') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
