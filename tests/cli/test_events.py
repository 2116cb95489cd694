"""TensorBoard events hold the losses of validating steps under the names of their kind."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bayescope.cli.events import tensorboard_log
from bayescope.training.losses import Losses

pytest.importorskip("tensorboard")


def progress(step: int, validated: bool) -> Any:
    def losses(first: float) -> Losses:
        return Losses(torch.tensor(first), torch.tensor(first / 2))

    return SimpleNamespace(
        state=SimpleNamespace(step=step), losses=losses(step + 0.5), validation=losses(10.0 * step) if validated else None
    )


def test_losses_of_validating_steps_are_written(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with tensorboard_log(tmp_path / "events") as log:
        for step, validated in ((1, False), (2, True), (3, False), (4, True)):
            log(progress(step, validated))
    found = EventAccumulator(str(tmp_path / "events")).Reload()
    scalars = {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
    assert scalars == {
        "denoising/train": [(2, 2.5), (4, 4.5)],
        "evidence/train": [(2, 1.25), (4, 2.25)],
        "denoising/validation": [(2, 20), (4, 40)],
        "evidence/validation": [(2, 10), (4, 20)],
    }


def test_nothing_is_written_without_a_folder_or_a_validating_step(tmp_path: Path) -> None:
    with tensorboard_log(None) as log:
        log(progress(2, True))
    with tensorboard_log(tmp_path / "events") as log:
        log(progress(1, False))
    assert not (tmp_path / "events").exists()
