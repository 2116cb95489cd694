"""The phase of training and the learning rate at each step."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from bayescope.config import TrainingConfig
from bayescope.errors import lookup

_STABLE = 0.8


@dataclass(frozen=True)
class Phase:
    """Steps with warm-up and decay of their own: ``done`` of ``steps`` have been taken."""

    generative: bool
    done: int
    steps: int

    @classmethod
    def at(cls, step: int, settings: TrainingConfig) -> "Phase":
        """Of the step that is to be taken after ``step`` steps."""
        if step < settings.generative_steps:
            return cls(True, step, settings.generative_steps)
        return cls(False, step - settings.generative_steps, settings.steps - settings.generative_steps)

    def teaches_evidence(self, settings: TrainingConfig) -> bool:
        """Whether the evidence loss has set in."""
        return not self.generative and settings.evidence_weight > 0 and self.done >= settings.evidence_from * self.steps


def learning_rate(step: int, settings: TrainingConfig, epoch_steps: float = math.inf) -> float:
    """Linear warm-up, then the decay asked for; ``epoch_steps``: steps that draw as many images as there are."""
    decay = lookup(DECAYS, settings.decay, "training.decay")
    phase = Phase.at(step, settings)
    warm = min(1.0, (phase.done + 1) / settings.warmup_steps)
    return settings.learning_rate * warm * decay(phase, settings, epoch_steps)


def _stable(phase: Phase, settings: TrainingConfig, epoch_steps: float) -> float:
    """Constant, then down to zero as 1 - √ (Hägele et al. 2024)."""
    share = (phase.done / phase.steps - _STABLE) / (1 - _STABLE)
    return 1 - math.sqrt(max(0.0, share))


DECAYS: dict[str, Callable[[Phase, TrainingConfig, float], float]] = {
    "cosine": lambda phase, settings, epoch_steps: 0.51 + 0.49 * math.cos(math.pi * phase.done / phase.steps),
    "step": lambda phase, settings, epoch_steps: settings.decay_factor ** (phase.done // (settings.decay_epochs * epoch_steps)),
    "stable": _stable,
}
"""By word of ``training.decay``: the learning rate's factor in a phase, of which an epoch takes ``epoch_steps``."""
