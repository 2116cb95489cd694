"""Determinism, resumption after a kill, and that training learns what is there."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bayescope.config import Config, TrainingConfig, dump_toml
from bayescope.data.dataset import Dataset
from bayescope.errors import RunError
from bayescope.fitting.fit import fit, fit_run
from bayescope.metrics.classification import accuracy
from bayescope.runs.files import METRICS, MODEL, STATE, load_tensors
from bayescope.runs.model_file import load_model
from bayescope.training import loop
from bayescope.training.loop import Progress
from conftest import stripes
from helpers import same_weights
from started import Started


@pytest.mark.slow
def test_same_seed_same_weights_and_another_seed_others(
    tiny_data: Dataset, tiny_config: Config, tiny_run: Path, tmp_path: Path
) -> None:
    fit_run(tiny_data, tiny_config, tmp_path / "again")
    assert same_weights(tiny_run, tmp_path / "again")
    fit_run(tiny_data, tiny_config.model_copy(update={"seed": 1}), tmp_path / "other")
    assert not same_weights(tiny_run, tmp_path / "other")


class _Stop(Exception):
    pass


@pytest.mark.slow
def test_an_interrupted_run_ends_with_the_same_weights(
    tiny_data: Dataset, tiny_config: Config, tiny_run: Path, tmp_path: Path
) -> None:
    def interrupt(progress: object) -> None:
        if progress.state.step == 13:  # type: ignore[attr-defined]
            raise _Stop

    run = tmp_path / "run"
    with pytest.raises(_Stop):
        fit_run(tiny_data, tiny_config, run, checkpoint_every=5, watch=interrupt)
    fit_run(tiny_data, tiny_config, run, resume=True, checkpoint_every=5)
    assert same_weights(tiny_run, run)
    assert [json.loads(line)["step"] for line in (run / METRICS).read_text().splitlines()] == [8, 16, 24]


def test_a_run_goes_on_in_other_parts_but_not_with_other_settings(
    tiny_data: Dataset, tiny_config: Config, tmp_path: Path
) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.state.step == 2:
            raise _Stop

    def changed(**training: object) -> Config:
        return tiny_config.model_copy(update={"training": tiny_config.training.model_copy(update={"steps": 4, **training})})

    run = tmp_path / "run"
    with pytest.raises(_Stop):
        fit_run(tiny_data, changed(), run, checkpoint_every=1, watch=interrupt)
    for refused in ({"batch_size": 4}, {"shard_images": 3}):
        with pytest.raises(RunError, match="another configuration of training"):
            fit_run(tiny_data, changed(**refused), run, resume=True)
    fit_run(tiny_data, changed(accumulate=2), run, resume=True)
    assert int(load_tensors(run / STATE)[0]["step"]) == 4


@pytest.mark.slow
def test_killed_at_any_moment_resume_ends_bit_for_bit_the_same(tiny_npz: Path, tiny_config: Config, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(dump_toml(tiny_config.model_copy(update={"training": TrainingConfig(steps=36, batch_size=8)})))

    def training(run: Path) -> Started:
        return Started(["train", tiny_npz, "--out", run, "--config", config, "--checkpoint-every", 1, "--resume"])

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert training(whole).wait() == 0
    kills = 0
    for extra_steps in (1, 4, 10):
        before = _steps(killed)
        process = training(killed)
        while process.poll() is None and _steps(killed) < before + extra_steps:
            time.sleep(0.002)
        if process.poll() is None:
            process.kill()
            kills += 1
        process.wait()
    assert kills == 3
    assert not (killed / MODEL).exists()
    assert training(killed).wait() == 0
    assert same_weights(whole, killed)


def _steps(run: Path) -> int:
    return int(load_tensors(run / STATE)[0]["step"]) if (run / STATE).exists() else 0


def trained(data: Dataset, config: Config, **training: object) -> tuple[np.ndarray, torch.Tensor]:
    """Losses of each of 20 steps, and the weights after them."""
    losses: list[tuple[float, float]] = []
    weights: list[torch.Tensor] = []

    def watch(progress: Progress) -> None:
        losses.append((progress.losses.denoising.item(), progress.losses.evidence.item()))
        if progress.state.step == 20:
            weights.extend(value.detach().flatten() for value in progress.state.denoiser.parameters())
            raise _Stop

    settings = config.training.model_copy(update={"steps": 20, "batch_size": 7, "label_dropout": 0.3, **training})
    dropping = config.net.model_copy(update={"dropout": 0.3})
    with pytest.raises(_Stop):
        fit(data, config.model_copy(update={"training": settings, "net": dropping}), watch=watch)
    return np.array(losses), torch.cat(weights)


def close(found: tuple[np.ndarray, torch.Tensor], expected: tuple[np.ndarray, torch.Tensor]) -> None:
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[1], expected[1], rtol=1e-3, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("training", [{}, {"generative_steps": 5, "evidence_from": 0.5}, {"evidence_noise_mean": 0.5}])
def test_a_batch_handled_in_parts_has_the_losses_and_weights_of_the_whole(
    tiny_data: Dataset, tiny_config: Config, training: dict[str, object]
) -> None:
    """With dropout and images without labels; in parts of unequal numbers of images."""
    data = replace(tiny_data, unlabelled=replace(stripes(25, 7), labels=np.full(25, -1)))
    close(trained(data, tiny_config, accumulate=3, **training), trained(data, tiny_config, **training))


@pytest.mark.slow
def test_batches_drawn_ahead_are_those_drawn_in_turn(
    tiny_data: Dataset, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = trained(tiny_data, tiny_config)
    monkeypatch.setitem(loop._DRAWN_AHEAD, "cpu", 3)
    found = trained(tiny_data, tiny_config)
    np.testing.assert_array_equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])


@pytest.mark.slow
def test_the_network_is_compiled_if_asked_for(tiny_data: Dataset, tiny_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as its graph, without the minutes that machine code takes."""
    compiled: list[object] = []
    compile_graph = torch.compile

    def spy(function: object, *arguments: object, **options: object) -> object:
        compiled.append(function)
        return compile_graph(function, backend="eager")  # type: ignore[call-overload]

    expected = trained(tiny_data, tiny_config)
    monkeypatch.setattr(torch, "compile", spy)
    assert not compiled
    close(trained(tiny_data, tiny_config, compile=True), expected)
    assert len(compiled) == 1


def test_existing_run_is_not_overwritten_and_other_data_cannot_resume(
    tiny_data: Dataset, tiny_config: Config, tiny_run: Path
) -> None:
    with pytest.raises(RunError, match="exists already"):
        fit_run(tiny_data, tiny_config, tiny_run)
    other = Dataset(stripes(60, 9), tiny_data.val, tiny_data.test, source="other")
    with pytest.raises(RunError, match="was trained on"):
        fit_run(other, tiny_config, tiny_run, resume=True)
    with pytest.raises(RunError, match="another configuration"):
        fit_run(tiny_data, tiny_config.model_copy(update={"seed": 5}), tiny_run, resume=True)


def test_a_diverging_run_stops_and_keeps_its_last_checkpoint(tiny_data: Dataset, tiny_config: Config, tmp_path: Path) -> None:
    wild = tiny_config.training.model_copy(update={"learning_rate": 1e8, "steps": 200, "warmup_steps": 1})
    with pytest.raises(
        RunError, match=r"training diverged: .* (nan|inf|not finite).*Lower training.learning_rate \(now 1e\+08"
    ):
        fit_run(tiny_data, tiny_config.model_copy(update={"training": wild}), tmp_path / "wild", checkpoint_every=1)

    def spoil(progress: Progress) -> None:
        if progress.state.step == 13:
            next(progress.state.denoiser.parameters()).data.fill_(torch.nan)

    with pytest.raises(RunError, match="training diverged: loss nan at step 14"):
        fit_run(tiny_data, tiny_config, tmp_path / "run", checkpoint_every=5, watch=spoil)
    assert int(load_tensors(tmp_path / "run" / STATE)[0]["step"]) == 10
    for folder in ("wild", "run"):
        if (tmp_path / folder / STATE).exists():
            assert all(value.isfinite().all() for value in load_tensors(tmp_path / folder / STATE)[0].values())


def test_what_to_lower_when_muon_diverges(tiny_data: Dataset, tiny_config: Config, tmp_path: Path) -> None:
    wild = tiny_config.training.model_copy(update={"optimizer": "muon", "muon_learning_rate": 1e8, "warmup_steps": 1})
    with pytest.raises(RunError, match=r"or training.muon_learning_rate \(now 1e\+08\)"):
        fit_run(tiny_data, tiny_config.model_copy(update={"training": wild}), tmp_path / "wild")


def test_weights_that_are_not_finite_are_no_checkpoint(
    tiny_data: Dataset, tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the loss was still finite, and its gradient not."""
    step = torch.optim.AdamW.step

    def overflow(self: torch.optim.AdamW, *arguments: object) -> None:
        step(self, *arguments)  # type: ignore[arg-type]
        if self.state_dict()["state"][0]["step"] == 5:
            self.param_groups[0]["params"][0].data.fill_(torch.inf)

    monkeypatch.setattr(torch.optim.AdamW, "step", overflow)
    with pytest.raises(RunError, match="training diverged: weights that are not finite at step 5"):
        fit_run(tiny_data, tiny_config, tmp_path / "run", checkpoint_every=5)
    assert not (tmp_path / "run" / STATE).exists()


def test_it_learns_to_tell_obvious_classes(tiny_data: Dataset, tiny_run: Path) -> None:
    model = load_model(tiny_run)
    predictions = model.predict_from_levels(model.level_evidence(tiny_data.test.pixels))
    assert accuracy(predictions.posterior, tiny_data.test.labels) > 0.9
