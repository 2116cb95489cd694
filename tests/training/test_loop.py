"""Determinism, resumption after a kill, and that training learns what is there."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from bayescope.config import Config, TrainingConfig, dump_toml
from bayescope.data.dataset import Dataset
from bayescope.diffusion.schedules import LogNormal
from bayescope.errors import RunError
from bayescope.fitting.fit import fit_run
from bayescope.metrics.classification import accuracy
from bayescope.runs.files import METRICS, MODEL, STATE, load_tensors
from bayescope.runs.model_file import load_model
from bayescope.training.augmentation import LIGHT, STRONG, Affine, Augment, Compose, Flip, Intensity, build_augmentation
from bayescope.training.learning_rate import learning_rate
from bayescope.training.loop import Progress
from bayescope.training.sampler import BalancedSampler, seeded
from conftest import stripes
from helpers import same_weights


def test_same_seed_same_weights_and_another_seed_others(
    tiny_data: Dataset, tiny_config: Config, tiny_run: Path, tmp_path: Path
) -> None:
    fit_run(tiny_data, tiny_config, tmp_path / "again")
    assert same_weights(tiny_run, tmp_path / "again")
    fit_run(tiny_data, tiny_config.model_copy(update={"seed": 1}), tmp_path / "other")
    assert not same_weights(tiny_run, tmp_path / "other")


class _Stop(Exception):
    pass


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


@pytest.mark.slow
def test_killed_at_any_moment_resume_ends_bit_for_bit_the_same(tiny_npz: Path, tiny_config: Config, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(dump_toml(tiny_config.model_copy(update={"training": TrainingConfig(steps=60, batch_size=8)})))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def command(run: Path) -> list[str]:
        arguments = ["train", str(tiny_npz), "--out", str(run), "--config", str(config), "--checkpoint-every", "1", "--resume"]
        return [sys.executable, "-c", "from bayescope.cli.main import run; run()", *arguments]

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(whole), check=True, env=environment, capture_output=True)
    kills = 0
    for extra_steps in (1, 7, 20):
        before = _steps(killed)
        process = subprocess.Popen(command(killed), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and _steps(killed) < before + extra_steps:
            time.sleep(0.002)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills == 3
    assert not (killed / MODEL).exists()
    subprocess.run(command(killed), check=True, env=environment, capture_output=True)
    assert same_weights(whole, killed)


def _steps(run: Path) -> int:
    return int(load_tensors(run / STATE)[0]["step"]) if (run / STATE).exists() else 0


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


def test_draws_are_balanced_and_see_every_image_once_per_pass() -> None:
    labels = np.array([0] * 30 + [1] * 6)
    draws = BalancedSampler(labels, 2, 12, seed=0)
    drawn = np.concatenate([draws(step).numpy() for step in range(5)])
    assert np.bincount(labels[drawn]).tolist() == [30, 30]
    assert sorted(drawn[labels[drawn] == 0]) == list(range(30))
    np.testing.assert_array_equal(draws(3), BalancedSampler(labels, 2, 12, seed=0)(3))


def test_noise_levels_fill_every_stratum() -> None:
    density = LogNormal(-0.8, 1.4)
    quantile = torch.special.ndtr((density.draw(10, 0.3).log() + 0.8) / 1.4)
    torch.testing.assert_close(quantile, (torch.arange(10) + 0.3) / 10, atol=1e-5, rtol=0)


def test_augmentation_goes_by_the_number_of_images() -> None:
    assert build_augmentation("auto", 500) == STRONG
    assert build_augmentation("auto", 5000) == LIGHT
    assert build_augmentation("auto", 50_000) is None
    assert build_augmentation("none", 500) is None


def test_a_stronger_augmentation_has_wider_ranges_and_none_at_all_changes_nothing() -> None:
    assert build_augmentation("light", 5000, strength=1.5) == Affine(
        degrees=7.5, shift=0.05 * 1.5, scale=0.05 * 1.5, flip=False
    )
    assert build_augmentation("strong", 500, intensity=0.2, strength=0.0) is None
    x = torch.randn(200, 1, 6, 6, generator=seeded(1))
    jitter = build_augmentation("none", 500, intensity=0.1, strength=2.0)
    assert jitter is not None
    torch.testing.assert_close(jitter(x, seeded(0)), Intensity(0.2, 0.1)(x, seeded(0)))


@pytest.mark.parametrize("augment", [STRONG, Flip(), Compose(LIGHT, Intensity(0.2, 0.1))])
def test_how_many_images_come_at_a_time_does_not_matter(augment: Augment) -> None:
    x = torch.rand(9, 1, 5, 7)
    whole, change = augment(x, seeded(0)), augment.in_turn(9, seeded(0))
    torch.testing.assert_close(torch.cat([change(x[:2]), change(x[2:3]), change(x[3:])]), whole)
    assert not torch.allclose(whole, x)


def test_augmentation_moves_each_image_its_own_way_and_keeps_the_shape() -> None:
    x = torch.rand(2, 1, 5, 7)
    moved = STRONG(torch.cat([x[:1], x[:1]]), seeded(0))
    assert moved.shape == x.shape
    assert not torch.allclose(moved[0], moved[1])


def test_intensity_keeps_each_image_s_pattern_within_its_ranges() -> None:
    x = torch.randn(64, 1, 6, 6, generator=seeded(1))
    changed = Intensity(0.2, 0.1)(x, seeded(0))
    shift = (changed - x).mean(dim=(1, 2, 3))
    stretch = (changed - changed.mean(dim=(1, 2, 3), keepdim=True)) / (x - x.mean(dim=(1, 2, 3), keepdim=True))
    factor = stretch.flatten(1).median(dim=1).values
    torch.testing.assert_close(stretch, factor[:, None, None, None].expand_as(stretch), atol=1e-3, rtol=1e-3)
    assert 0.15 < factor.log().abs().max() <= 0.2 + 1e-4
    assert 0.15 < shift.abs().max() <= 0.2 + 1e-6
    assert shift.unique().numel() == len(x)


def test_intensity_comes_on_top_of_the_affine_choice() -> None:
    x = torch.ones(8, 1, 6, 6)
    augment = build_augmentation("light", 500, intensity=0.2)
    assert augment is not None
    assert augment(x, seeded(0)).mean(dim=(1, 2, 3)).std() > 0.01
    assert torch.allclose(LIGHT(x, seeded(0)), x)


def test_learning_rate_warms_up_and_falls() -> None:
    settings = TrainingConfig(steps=100, warmup_steps=10, learning_rate=1.0)
    rates = [learning_rate(step, settings) for step in range(100)]
    assert rates[0] < rates[9]
    assert max(rates) <= 1.0
    assert rates[-1] < 0.03
