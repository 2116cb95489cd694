"""Everything a training step reads and changes, and its flat form for a file."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from bayescope.config import Optimizer, TrainingConfig
from bayescope.denoiser import Denoiser
from bayescope.errors import RunError
from bayescope.training.loss import Temperature

OPTIMIZERS: dict[Optimizer, Callable[..., torch.optim.Optimizer]] = {
    "adamw": partial(torch.optim.AdamW, betas=(0.9, 0.99)),
    "adam": torch.optim.Adam,
}


@dataclass
class TrainingState:
    """The denoiser, its exponential moving average, the temperature, the optimiser and the next step's number."""

    denoiser: Denoiser
    ema: Denoiser
    temperature: Temperature
    optimizer: torch.optim.Optimizer
    step: int = 0

    @classmethod
    def start(cls, denoiser: Denoiser, config: TrainingConfig) -> "TrainingState":
        temperature = Temperature().to(denoiser.mean.device)
        groups = [
            {"params": list(denoiser.parameters()), "weight_decay": config.weight_decay, "factor": 1.0},
            {"params": list(temperature.parameters()), "weight_decay": 0.0, "factor": 10.0},
        ]
        optimizer = OPTIMIZERS[config.optimizer](groups, lr=config.learning_rate)
        ema = copy.deepcopy(denoiser).requires_grad_(False).eval()
        return cls(denoiser, ema, temperature, optimizer)

    @torch.no_grad()
    def update_ema(self, decay: float) -> None:
        decay = min(decay, (1 + self.step) / (10 + self.step))
        for average, value in zip(self.ema.parameters(), self.denoiser.parameters(), strict=True):
            average.lerp_(value, 1 - decay)

    def tensors(self) -> dict[str, Tensor]:
        """Flat, named and complete: what :meth:`restore` needs to go on exactly."""
        flat = {"step": torch.tensor(self.step)}
        for name, module in self._modules():
            flat |= {f"{name}/{key}": value for key, value in module.state_dict().items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            flat |= {f"optimizer/{index}/{key}": value for key, value in slots.items()}
        return {key: value.detach().contiguous() for key, value in flat.items()}

    def restore(self, flat: dict[str, Tensor]) -> None:
        """Take over tensors written by :meth:`tensors`.  Raises RunError if they are of another model."""
        slots: dict[int, dict[str, Tensor]] = {}
        for key, value in flat.items():
            if key.startswith("optimizer/"):
                _, index, slot = key.split("/")
                slots.setdefault(int(index), {})[slot] = value
        try:
            for name, module in self._modules():
                prefix = f"{name}/"
                module.load_state_dict({k.removeprefix(prefix): v for k, v in flat.items() if k.startswith(prefix)})
            groups = self.optimizer.state_dict()["param_groups"]
            self.optimizer.load_state_dict({"state": slots, "param_groups": groups})
            self.step = int(flat["step"])
        except (RuntimeError, KeyError, ValueError) as error:
            raise RunError(
                f"training state of another model ({error}); expected the one it was written by. Start the run anew "
                "with --force"
            ) from None

    def _modules(self) -> list[tuple[str, torch.nn.Module]]:
        return [("denoiser", self.denoiser), ("ema", self.ema), ("temperature", self.temperature)]
