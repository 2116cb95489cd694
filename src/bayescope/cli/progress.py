"""Progress bars, on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bayescope.cli.output import errors

if TYPE_CHECKING:
    from bayescope.config import Config
    from bayescope.data.dataset import Dataset
    from bayescope.training import loop

_COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())


@contextmanager
def bar(title: str, total: int, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """A bar for ``total`` items; the value is a function to call with the number of items done."""
    with Progress(*_COLUMNS, console=errors, disable=quiet, transient=not errors.is_terminal) as progress:
        task = progress.add_task(title, total=total)
        yield lambda done: progress.advance(task, done)


@contextmanager
def counter(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for a callback ``(done, total)``, shown once the total is known."""
    with Progress(*_COLUMNS, console=errors, transient=True) as progress:
        task = progress.add_task(title, total=None, visible=False)
        yield lambda done, total: progress.update(task, completed=done, total=total, visible=True)


@contextmanager
def late_counter(title: str, seconds: float = 2.0) -> Iterator[Callable[[int, int], None]]:
    """As :func:`counter`, shown only once it has taken ``seconds``."""
    start = time.monotonic()
    with counter(title) as count:
        yield lambda done, total: count(done, total) if time.monotonic() - start > seconds else None


@contextmanager
def stages() -> Iterator[Callable[[str, int], Callable[[int], None]]]:
    """A bar for each stage of a task; the value is a function of a stage's name and total to one of the items done."""
    with Progress(*_COLUMNS, console=errors, transient=not errors.is_terminal) as progress:

        def begin(title: str, total: int) -> Callable[[int], None]:
            task = progress.add_task(title, total=total)
            return lambda done: progress.advance(task, done)

        yield begin


@contextmanager
def training_bars(data: Dataset, config: Config, done: int = 0) -> Iterator[tuple[loop.Watch, Callable[[int], None]]]:
    """Bars for training and for scoring the validation images: the two callbacks of ``fit``."""
    from bayescope.fitting.fit import images_to_score

    to_score = images_to_score(data, config)
    with bar("training", config.training.steps) as step, bar("scoring validation", to_score) as scored:
        step(done)
        yield lambda progress: step(1), scored
