"""The state of training, and its flat form for a file."""

import copy
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor

from bayescope.config import TrainingConfig
from bayescope.diffusion.denoiser import Denoiser
from bayescope.errors import RunError
from bayescope.training.losses import Temperature
from bayescope.training.optimizers import Optimizers, build_optimizers


@dataclass
class TrainingState:
    """The denoiser, its exponential moving average, the temperature, the optimisers and the next step's number."""

    denoiser: Denoiser
    ema: Denoiser
    temperature: Temperature
    optimizers: Optimizers
    step: int = 0

    @classmethod
    def start(cls, denoiser: Denoiser, config: TrainingConfig) -> "TrainingState":
        temperature = Temperature().to(denoiser.mean.device)
        ema = copy.deepcopy(denoiser).requires_grad_(False).eval()
        return cls(denoiser, ema, temperature, build_optimizers(denoiser, temperature, config))

    def average_from_here(self) -> None:
        """Restart the average from the current weights."""
        self.ema.load_state_dict(self.denoiser.state_dict())

    @torch.no_grad()
    def update_ema(self, decay: float, steps: int) -> None:
        """``steps`` taken since the average began.

        Until ``decay`` is reached, after 4,500 steps at the default, this is the power-function average with γ = 8 (Karras et
        al. 2024, eq. 1): its width is 9 % of the run, however long the run is.
        """
        decay = min(decay, (1 + steps) / (10 + steps))
        for average, value in zip(self.ema.parameters(), self.denoiser.parameters(), strict=True):
            average.lerp_(value, 1 - decay)

    def tensors(self) -> dict[str, Tensor]:
        """Flat, named and complete: what :meth:`restore` needs to continue exactly."""
        flat = {"step": torch.tensor(self.step)}
        for name, module in self._modules():
            flat |= {f"{name}/{key}": value for key, value in module.state_dict().items()}
        for name, optimizer in self.optimizers.items():
            for index, slots in optimizer.state_dict()["state"].items():
                flat |= {f"{name}/{index}/{key}": value for key, value in slots.items()}
        return {key: value.detach().contiguous() for key, value in flat.items()}

    def restore(self, flat: dict[str, Tensor]) -> None:
        """Take over tensors written by :meth:`tensors`.  Raises RunError if they are of another model."""
        try:
            for name, module in self._modules():
                prefix = f"{name}/"
                module.load_state_dict({k.removeprefix(prefix): v for k, v in flat.items() if k.startswith(prefix)})
            for name, optimizer in self.optimizers.items():
                groups = optimizer.state_dict()["param_groups"]
                optimizer.load_state_dict({"state": _slots(flat, name), "param_groups": groups})
            self.step = int(flat["step"])
        except (RuntimeError, KeyError, ValueError) as error:
            raise RunError(
                f"training state of another model ({error}); expected the one it was written by. Start the run again "
                "with --force"
            ) from None

    def take_over_first(self, fabric: Fabric) -> None:
        """The state of the first process, in all of them."""
        if fabric.world_size > 1:
            self.restore(fabric.broadcast({key: value.cpu() for key, value in self.tensors().items()}))

    def _modules(self) -> list[tuple[str, torch.nn.Module]]:
        return [("denoiser", self.denoiser), ("ema", self.ema), ("temperature", self.temperature)]


def _slots(flat: dict[str, Tensor], optimizer: str) -> dict[int, dict[str, Tensor]]:
    """What an optimiser keeps of each parameter, by the parameter's number."""
    slots: dict[int, dict[str, Tensor]] = {}
    for key, value in flat.items():
        if key.startswith(f"{optimizer}/"):
            _, index, slot = key.split("/")
            slots.setdefault(int(index), {})[slot] = value
    return slots
