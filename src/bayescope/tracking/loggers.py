"""The loggers available, and a training logged by some of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayescope.config import Config
from bayescope.data.dataset import Dataset
from bayescope.errors import lookup
from bayescope.evaluation.progress import Progress, no_progress
from bayescope.runs.files import REPORT
from bayescope.tracking.logger import Logger
from bayescope.tracking.mlflow import MlflowLogger
from bayescope.tracking.tensorboard import TensorBoardLogger
from bayescope.training import loop

if TYPE_CHECKING:
    from bayescope.evaluation.evaluate import Evaluation

LOGGERS: dict[str, Callable[[Path], Logger]] = {"tensorboard": TensorBoardLogger, "mlflow": MlflowLogger}
"""By word of ``bayescope train --logger``."""


class TrainingLog:
    """What becomes of a training, told to several loggers.

    Parameters
    ----------
    loggers : sequence of Logger
        The loggers; none log nothing, and no report is written.
    config : Config
        The configuration.
    run : Path
        Run folder.
    """

    def __init__(self, loggers: Sequence[Logger], config: Config, run: Path) -> None:
        self.loggers, self.config, self.run, self._begun = loggers, config, run, False

    def watch(self, progress: loop.Progress) -> None:
        """Log the losses of a step at which they were validated, and before the first of them the configuration.

        Parameters
        ----------
        progress : bayescope.training.loop.Progress
            The step.
        """
        if progress.validation is None:
            return
        losses = {"train": progress.losses, "validation": progress.validation}
        values = {
            f"{kind}/{name}": getattr(of, kind).item() for name, of in losses.items() for kind in ("denoising", "evidence")
        }
        for logger in self.loggers:
            if not self._begun:
                logger.parameters(dict(flattened(self.config.model_dump(mode="json"))))
            logger.metrics(values, progress.state.step)
        self._begun = True

    def finish(
        self, data: Dataset, source: Path, normalise_labels: bool = False, progress: Progress = no_progress
    ) -> "Evaluation | None":
        """Write the report of the trained run, and log its measures, the report and the run.

        On images that the run was not trained on, or else on its validation images.

        Parameters
        ----------
        data : Dataset
            The images it was trained on.
        source : Path
            Where they are.
        normalise_labels : bool, default False
            Whether labels and patients that differ only in spelling are taken as the same.
        progress : callable, optional
            Called as each stage begins, see :data:`bayescope.evaluation.progress.Progress`.

        Returns
        -------
        Evaluation or None
            What was measured; None without loggers, or without images to measure on.
        """
        split = next((name for name, part in (("auto", data.test), ("val", data.val)) if len(part)), None)
        if not self.loggers or split is None:
            return None
        from bayescope.evaluation.report.build import write_report  # with what draws it, which takes half a second

        report = self.run / REPORT
        found = write_report(
            self.run,
            report,
            data=source,
            split=split,
            normalise_labels=normalise_labels,
            device=self.config.device,
            progress=progress,
        )
        for logger in self.loggers:
            logger.metrics(
                {f"measures/{name}": estimate.value for name, estimate in found.measures.items()}, self.config.training.steps
            )
            logger.artifacts(report, self.run)
        return found


@contextmanager
def training_log(words: Sequence[str], config: Config, run: Path) -> Iterator[TrainingLog]:
    """A log of a training by the loggers of these words, closed at the end.

    Parameters
    ----------
    words : sequence of str
        Keys of :data:`LOGGERS`.
    config : Config
        The configuration.
    run : Path
        Run folder.

    Yields
    ------
    TrainingLog
        The log.

    Raises
    ------
    ConfigError
        If a logger is unknown or not installed.
    """
    loggers = [lookup(LOGGERS, word, "logger")(run) for word in dict.fromkeys(words)]
    finished = False
    try:
        yield TrainingLog(loggers, config, run)
        finished = True
    finally:
        for logger in loggers:
            logger.close(finished)


def flattened(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """``("training.steps", "300")`` and so on, of nested settings."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)
