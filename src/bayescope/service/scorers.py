"""Where the network is called: in this process, or in a process of its own.

Python runs one thread at a time, so a network of many small operations waits after each of them for the threads that parse
requests; in a process of its own it does not.
"""

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from bayescope.inference.batch_invariant import batch_invariant
from bayescope.inference.model import LikelihoodModel
from bayescope.runs.model_file import load_model

Tell = Callable[[Any], None]
Work = Callable[[LikelihoodModel, Tell], Any]
"""Something to do with a model; what it tells meanwhile, and its result.  For a :class:`ProcessScorer` it can be pickled."""


class Unavailable(Exception):
    """The work is not done; it may be if it is asked for again."""


class Scorer(Protocol):
    """Does work with a batch-invariant model, one piece at a time."""

    def start(self) -> None:
        """Make the model ready."""
        ...

    def __call__(self, work: Work, tell: Tell) -> Any:
        """The result of ``work``; ``tell`` is called with what it tells."""
        ...

    def close(self) -> None:
        """No more is asked of it."""
        ...


class LocalScorer:
    """Works in the thread that asks.

    Parameters
    ----------
    model : LikelihoodModel
        A trained model.
    """

    def __init__(self, model: LikelihoodModel) -> None:
        self._model = model

    def start(self) -> None:
        """Make the model batch-invariant."""
        self._model = batch_invariant(self._model)

    def __call__(self, work: Work, tell: Tell) -> Any:
        """The result of ``work``."""
        return work(self._model, tell)

    def close(self) -> None:
        """Nothing is left to do."""


class ProcessScorer:
    """Works in a process of its own, which is started again should it end unexpectedly.

    Parameters
    ----------
    run : Path
        Run folder of the model.
    device : str
        Where to score images.
    """

    def __init__(self, run: Path, device: str) -> None:
        self._run, self._device = run, device
        self._connection: Connection | None = None
        self._process: multiprocessing.process.BaseProcess | None = None

    @property
    def pid(self) -> int | None:
        """Of the process; None if there is none."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process, and wait until its model is ready.  Raises Unavailable if it ends before."""
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_answer, args=(theirs, self._run, self._device), name="scoring", daemon=True)
        self._process.start()
        theirs.close()
        self._result(lambda told: None)

    def __call__(self, work: Work, tell: Tell) -> Any:
        """The result of ``work``.  Raises Unavailable if the process ended, and starts another."""
        assert self._connection is not None
        try:
            try:
                self._connection.send(work)
            except OSError:
                raise Unavailable(_ENDED) from None
            return self._result(tell)
        except Unavailable:
            self.close()
            self.start()
            raise

    def close(self) -> None:
        """End the process."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.join()

    def _result(self, tell: Tell) -> Any:
        assert self._connection is not None
        while True:
            try:
                kind, content = self._connection.recv()
            except (EOFError, OSError):
                raise Unavailable(_ENDED) from None
            if kind == "told":
                tell(content)
            elif kind == "failed":
                raise content
            else:
                return content


_ENDED = "the process that scores images ended unexpectedly, and another is started"


def _answer(connection: Connection, run: Path, device: str) -> None:
    """Do the work that comes over ``connection`` until its other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    model = batch_invariant(load_model(run, device))

    def tell(content: Any) -> None:
        connection.send(("told", content))

    connection.send(("done", None))
    while True:
        try:
            work: Work = connection.recv()
        except EOFError:
            return
        try:
            answer = "done", work(model, tell)
        except Exception as error:
            answer = "failed", error
        connection.send(answer)
