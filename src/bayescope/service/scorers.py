"""Where the network is called: in this process, or in a process of its own.

Python runs one thread at a time, so a network of many small operations waits after each of them for the threads that parse
requests; in a process of its own it does not.
"""

import multiprocessing
import signal
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

from bayescope.inference.batch_invariant import batch_invariant
from bayescope.inference.model import LikelihoodModel
from bayescope.runs.model_file import load_model, model_fingerprint

CONTEXT = multiprocessing.get_context("spawn")
"""How the process is started."""
Tell = Callable[[Any], None]
Work = Callable[[LikelihoodModel, Tell], Any]
"""Something to do with a model; what it tells meanwhile, and its result.  For a :class:`ProcessScorer` it can be pickled."""


class Unavailable(Exception):
    """The work is not done; it may be if it is asked for again."""


class Scorer(Protocol):
    """Does work with a batch-invariant model, one piece after the other."""

    def start(self) -> None:
        """Make the model ready."""
        ...

    def submit(self, work: Work, tell: Tell) -> Future[Any]:
        """The result of ``work``, as soon as there is one; ``tell`` is called with what it tells."""
        ...

    def close(self) -> None:
        """No more is asked of it, and nothing is left to do."""
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

    def submit(self, work: Work, tell: Tell) -> Future[Any]:
        """The result of ``work``, which is done."""
        future = Future[Any]()
        try:
            future.set_result(work(self._model, tell))
        except Exception as error:
            future.set_exception(error)
        return future

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
    fingerprint : str
        Of the model, by :func:`bayescope.runs.model_file.model_fingerprint`; images are never scored by another one that has
        come into the folder.
    """

    def __init__(self, run: Path, device: str, fingerprint: str) -> None:
        self._run, self._device, self._fingerprint = run, device, fingerprint
        self._asked: deque[tuple[Future[Any], Tell]] = deque()
        self._connection: Connection | None = None
        self._process: BaseProcess | None = None
        self._receiver: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        """Of the process; None if there is none."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process, and wait until its model is ready.

        Raises Unavailable if it ends before, or the folder holds another model by now; RunError if the model cannot be loaded.
        """
        self._connection, theirs = CONTEXT.Pipe()
        asked = theirs, self._run, self._device, self._fingerprint
        self._process = CONTEXT.Process(target=_work, args=asked, name="scoring", daemon=True)
        self._process.start()
        theirs.close()
        try:
            kind, content = self._connection.recv()
        except (EOFError, OSError):
            raise Unavailable(_ENDED) from None
        if kind == _FAILED:
            raise content
        self._receiver = threading.Thread(target=self._receive, args=(self._connection,), name="results", daemon=True)
        self._receiver.start()

    def submit(self, work: Work, tell: Tell) -> Future[Any]:
        """The result of ``work``, when it comes; Unavailable if the process ends before."""
        if self._receiver is None or not self._receiver.is_alive():
            self.start()
        assert self._connection is not None
        future = Future[Any]()
        self._asked.append((future, tell))
        try:
            self._connection.send(work)
        except OSError:
            self._give_up()
        return future

    def close(self) -> None:
        """End the process."""
        if self._process is not None and self._process.is_alive() and self._connection is not None:
            with suppress(OSError):  # closed already: the process is about to end
                self._connection.send(None)
            self._process.join()

    def _receive(self, connection: Connection) -> None:
        try:
            while True:
                kind, content = connection.recv()
                if kind == _TOLD:
                    self._asked[0][1](content)
                    continue
                future, _ = self._asked.popleft()
                if kind == _FAILED:
                    future.set_exception(content)
                else:
                    future.set_result(content)
        except Exception:  # the process ended, or sent what cannot be read or told
            connection.close()
            self._give_up()

    def _give_up(self) -> None:
        while self._asked:
            self._asked.popleft()[0].set_exception(Unavailable(_ENDED))


_TOLD, _DONE, _FAILED = range(3)
_ENDED = "the process that scores images ended unexpectedly, and is started again"


def _work(connection: Connection, run: Path, device: str, fingerprint: str) -> None:
    """Do the work that comes over ``connection`` until None comes, or its other end is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        model = batch_invariant(load_model(run, device))
        if model_fingerprint(run) != fingerprint:
            raise Unavailable(f"{run}: holds another model than when the service started; expected the same. Start it again")
    except Exception as error:
        connection.send((_FAILED, error))
        return

    def tell(content: Any) -> None:
        connection.send((_TOLD, content))

    connection.send((_DONE, None))
    with suppress(EOFError):
        while (work := connection.recv()) is not None:
            try:
                answer = _DONE, work(model, tell)
            except Exception as error:
                answer = _FAILED, error
            connection.send(answer)
