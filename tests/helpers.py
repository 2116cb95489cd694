"""What several test modules use."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bayescope.diffusion.schedules import Schedule
from bayescope.runs.files import MODEL, load_tensors


def same_weights(a: Path, b: Path) -> bool:
    first, second = load_tensors(a / MODEL), load_tensors(b / MODEL)
    return first[1] == second[1] and all(torch.equal(first[0][key], second[0][key]) for key in first[0])


def from_schedule(schedule: Schedule, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """The inverse of ``schedule.to_schedule``: ``z`` and ``sigma``."""
    sigma = schedule.sigma(t)
    return x_t / schedule.scale(sigma)[:, None, None, None], sigma


@dataclass(frozen=True)
class AsDenoiser:
    """A function that predicts the noise ε in a schedule's terms, as a denoiser: D(z; σ, y) = z - σ ε(α z, t(σ), y)."""

    predict_noise: Callable[[Tensor, Tensor, Tensor], Tensor]
    schedule: Schedule

    def __call__(self, z: Tensor, sigma: Tensor, label: Tensor) -> Tensor:
        return z - sigma[:, None, None, None] * self.predict_noise(*self.schedule.to_schedule(z, sigma), label)
