"""The interface of a logger.

A new one is a class with these methods, made from a run folder, and a line in :data:`bayescope.tracking.loggers.LOGGERS`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class Logger(Protocol):
    """Keeps what becomes of one training.  Its constructor checks what it needs; nothing is opened before the first entry."""

    def parameters(self, values: Mapping[str, str]) -> None:
        """The configuration, by key such as ``"training.steps"``."""
        ...

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Losses or measures by name, at a step of training."""
        ...

    def artifacts(self, report: Path, run: Path) -> None:
        """The HTML report and the run folder, which holds the model."""
        ...

    def close(self, finished: bool) -> None:
        """The end of training; ``finished``: it was neither interrupted nor failed."""
        ...
