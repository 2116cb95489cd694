"""What loggers are told of a training, and what they keep."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bayescope.config import Config
from bayescope.data.dataset import Dataset
from bayescope.errors import ConfigError
from bayescope.tracking.loggers import LOGGERS, TrainingLog, flattened, training_log
from bayescope.tracking.tensorboard import TensorBoardLogger
from bayescope.training.losses import Losses
from conftest import Call


class Listener:
    """A logger that remembers what it is told."""

    def __init__(self, run: Path) -> None:
        self.told: list[tuple[Any, ...]] = []

    def parameters(self, values: Mapping[str, str]) -> None:
        self.told.append(("parameters", dict(values)))

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        self.told.append(("metrics", dict(values), step))

    def artifacts(self, report: Path, run: Path) -> None:
        self.told.append(("artifacts", report, run))

    def close(self, finished: bool) -> None:
        self.told.append(("close", finished))


def progress(step: int, validated: bool) -> Any:
    def losses(first: float) -> Losses:
        return Losses(torch.tensor(first), torch.tensor(first / 2))

    return SimpleNamespace(
        state=SimpleNamespace(step=step), losses=losses(step + 0.5), validation=losses(10.0 * step) if validated else None
    )


def test_settings_come_once_and_losses_at_validated_steps(tmp_path: Path) -> None:
    listener = Listener(tmp_path)
    log = TrainingLog([listener], Config(), tmp_path)
    for step, validated in ((1, False), (2, True), (3, False), (4, True)):
        log.watch(progress(step, validated))
    (kind, settings), *rest = listener.told
    assert kind == "parameters"
    assert settings["training.steps"] == str(Config().training.steps)
    assert rest == [
        (
            "metrics",
            {
                "denoising/train": step + 0.5,
                "evidence/train": (step + 0.5) / 2,
                "denoising/validation": 10.0 * step,
                "evidence/validation": 5.0 * step,
            },
            step,
        )
        for step in (2, 4)
    ]


def test_settings_by_their_keys() -> None:
    assert dict(flattened({"seed": 1, "net": {"widths": [8, 8]}})) == {"seed": "1", "net.widths": "[8, 8]"}


def test_an_unknown_logger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected one of tensorboard, mlflow"), training_log(["wandb"], Config(), tmp_path):
        pass


def test_loggers_learn_whether_training_was_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener(tmp_path)
    monkeypatch.setitem(LOGGERS, "listener", lambda run: listener)
    with training_log(["listener", "listener"], Config(), tmp_path):
        pass
    with pytest.raises(KeyboardInterrupt), training_log(["listener"], Config(), tmp_path):
        raise KeyboardInterrupt
    assert listener.told == [("close", True), ("close", False)]


def test_nothing_is_measured_without_loggers(tiny_data: Dataset, tmp_path: Path) -> None:
    assert TrainingLog([], Config(), tmp_path).finish(tiny_data, tmp_path) is None


def test_no_events_are_written_of_a_training_that_did_not_begin(tmp_path: Path) -> None:
    TensorBoardLogger(tmp_path).close(False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.usefixtures("few_cases")
def test_train_tells_its_loggers_of_measures_report_and_run(
    cli: Call, tiny_npz: Path, config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    listener, out = Listener(tmp_path), tmp_path / "run"
    monkeypatch.setitem(LOGGERS, "listener", lambda run: listener)
    words = ("--logger", "listener", "--logger", "tensorboard")
    told = cli("train", tiny_npz, "--out", out, "--config", config_file, *words)
    assert told.code == 0, told.err
    assert [entry[0] for entry in listener.told] == ["parameters", *["metrics"] * 4, "artifacts", "close"]
    measures, (_, report, run) = listener.told[-3][1], listener.told[-2]
    assert 0.5 < measures["measures/AUC"] <= 1
    assert (report, run) == (out / "report.html", out)
    assert "AUC" in report.read_text()
    found = EventAccumulator(str(out / "tensorboard")).Reload()
    scalars = {tag: [event.value for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
    assert scalars["measures/AUC"] == [pytest.approx(measures["measures/AUC"])]
    assert len(scalars["denoising/validation"]) == 3


@pytest.mark.slow
@pytest.mark.usefixtures("few_cases")
def test_mlflow_keeps_all_and_pickles_nothing(
    cli: Call, tiny_npz: Path, config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/store.db")
    told = cli("train", tiny_npz, "--out", "breast", "--config", config_file, "--logger", "mlflow")
    assert told.code == 0, told.err
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    client = MlflowClient()
    experiment = client.get_experiment_by_name("bayescope")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.status, run.info.run_name) == ("FINISHED", "breast")
    assert run.data.params["training.steps"] == "24"
    assert "measures/AUC" in run.data.metrics
    assert [metric.step for metric in client.get_metric_history(run.info.run_id, "denoising/validation")] == [8, 16, 24]
    assert {entry.path for entry in client.list_artifacts(run.info.run_id)} == {"report.html", "run"}
    kept = Path(client.download_artifacts(run.info.run_id, "run", str(tmp_path)))
    assert (kept / "model.safetensors").read_bytes() == (tmp_path / "breast" / "model.safetensors").read_bytes()
    assert not [path for path in kept.rglob("*") if path.suffix in (".pkl", ".pickle", ".pt", ".pth")]
