"""TensorBoard: events in the run folder, under ``tensorboard``.  Needs the extra ``bayescope[tensorboard]``."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bayescope.errors import ConfigError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoardLogger:
    """Settings and the place of the report as text, losses and measures as curves.

    Parameters
    ----------
    run : Path
        Run folder.
    """

    def __init__(self, run: Path) -> None:
        try:
            import torch.utils.tensorboard  # noqa: F401
        except ImportError:
            raise ConfigError(
                "TensorBoard is not installed; expected the optional package of --logger tensorboard. Install it: "
                "`pip install 'bayescope[tensorboard]'`, or leave the logger out"
            ) from None
        self._folder = run / "tensorboard"

    @cached_property
    def _writer(self) -> "SummaryWriter":
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self._folder))

    def parameters(self, values: Mapping[str, str]) -> None:
        """A table."""
        rows = [f"| {key} | {value} |" for key, value in values.items()]
        self._writer.add_text("settings", "\n".join(["| setting | value |", "| --- | --- |", *rows]))

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """A point of each curve."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def artifacts(self, report: Path, run: Path) -> None:
        """The names of the files: TensorBoard keeps none."""
        self._writer.add_text("report", f"{report.name} in the run folder {run.name}")

    def close(self, finished: bool) -> None:
        """Flush the events."""
        if "_writer" in vars(self):
            self._writer.close()
