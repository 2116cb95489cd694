"""Training curves for TensorBoard, if requested and installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bayescope.errors import ConfigError

if TYPE_CHECKING:
    from bayescope.training.loop import Progress, Watch


@contextmanager
def tensorboard_log(folder: Path | None) -> Iterator[Watch]:
    """A callback that writes losses at validating steps under ``folder``; one that does nothing if it is None."""
    if folder is None:
        yield lambda progress: None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ConfigError(
            "TensorBoard is not installed; run `pip install bayescope[tensorboard]`, or leave out --tensorboard"
        ) from None
    writers: list[SummaryWriter] = []

    def write(progress: Progress) -> None:
        if progress.validation is None:
            return
        if not writers:
            writers.append(SummaryWriter(str(folder)))
        for name, losses in (("train", progress.losses), ("validation", progress.validation)):
            writers[0].add_scalar(f"denoising/{name}", losses.denoising.item(), progress.state.step)
            writers[0].add_scalar(f"evidence/{name}", losses.evidence.item(), progress.state.step)

    try:
        yield write
    finally:
        for writer in writers:
            writer.close()
