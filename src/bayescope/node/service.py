"""A running node: its parts put together, started, and stopped."""

import fcntl
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from logging import NullHandler, getLogger
from pathlib import Path

from bayescope.errors import RunError, writing
from bayescope.node.combinations import Combinations
from bayescope.node.commitment import Commitments
from bayescope.node.config import NodeConfig
from bayescope.node.database import Database
from bayescope.node.drift import DriftWatches, drift_summaries
from bayescope.node.intake import Intake
from bayescope.node.journal import Journal, Pseudonyms
from bayescope.node.loops import Loop
from bayescope.node.maintenance import DATABASE, counts, purge
from bayescope.node.metrics import Metrics
from bayescope.node.outbox import Outbox
from bayescope.node.poll import Poller
from bayescope.node.queue import Queue
from bayescope.node.readers import Reader, load_reader
from bayescope.node.receive import Receiver
from bayescope.node.send import Sender, transport_to
from bayescope.node.storage import OBJECTS, RESULTS, Storage
from bayescope.node.studies import StudyWorker
from bayescope.node.work import Worker

LOCK = "node.lock"
_IDLE_S, _PURGE_EVERY_S = 1.0, 3600.0
_MIB = 2**20


class Node:
    """A node, not yet running.

    Parameters
    ----------
    config : NodeConfig
        Its settings.
    run : Path
        Run folder that reads images where the routes name none.
    readers : mapping of Path to Reader
        The models by run folder, of all runs that the routes name.
    """

    def __init__(self, config: NodeConfig, run: Path, readers: Mapping[Path, Reader]) -> None:
        folder, ae_title, self._config = config.folder, config.ae_title, config
        pseudonyms = Pseudonyms.of_folder(folder)
        self.database = Database(folder / DATABASE)
        self._storage = Storage(folder, config.keep_free_mb * _MIB)
        self._queue, outbox = Queue(self.database), Outbox(self.database, config.delivery)
        self._journal = journal = Journal(folder, ae_title, pseudonyms)
        self.metrics = metrics = Metrics(partial(counts, self.database), partial(drift_summaries, self.database))
        drift = DriftWatches(
            self.database, {reader.model: reader.drift_test(config.drift) for reader in readers.values()}, journal
        )
        intake = Intake(self._storage, self._queue, pseudonyms)
        self._worker = Worker(config, run, readers, self._queue, self._storage, pseudonyms, journal, metrics, drift)
        self._combinations = Combinations(self.database, config.quiet_s)
        self._studies = StudyWorker(config, readers, self._combinations, self._storage, pseudonyms, journal, metrics)
        work = Loop("work", self._work, _IDLE_S, journal)
        self._senders = []
        for to in config.destinations:
            sender = Sender(to.name, transport_to(to, ae_title), outbox, self._storage, journal, metrics)
            self._senders.append(Loop(f"send to {to.name}", sender.send_due, _IDLE_S, journal))
        self._loops = [work, *self._senders, Loop("purge", self._purge, _PURGE_EVERY_S, journal)]
        if config.poll:
            poller = Poller(config.poll, self.database, intake, journal, metrics)
            self._loops.append(Loop("poll", poller.fetch_new, config.poll.every_s, journal))
        self._receiver: Receiver | None = None
        if config.listen:
            commitments = Commitments(self.database, self._queue, self._storage, config.listen, config.delivery, journal)
            self._loops.append(Loop("storage commitment", commitments.answer_due, _IDLE_S, journal))
            self._receiver = Receiver(config.listen, intake, commitments, journal, metrics, work.wake)

    def start(self) -> None:
        """Bring disk and queue into order after a crash, then listen, fetch, read and send."""
        objects, results = self._queue.files()
        left = self._storage.clear(OBJECTS, objects) + self._storage.clear(RESULTS, results)
        again = self._queue.recover(self._config.reading.attempts)
        studies = self._combinations.recover(self._config.reading.attempts, self._worker.combining)
        self._journal.audit("Application Activity", "E", type_="Application Start")
        self._journal.event(
            "started", pid=os.getpid(), files_removed=left, images_queued_again=again, studies_queued_again=studies
        )
        self._studies.tell()
        self._stop_metrics = self.metrics.serve(self._config.metrics) if self._config.metrics else lambda: None
        if self._receiver:
            self._receiver.start()
        for loop in self._loops:
            loop.start()

    def stop(self) -> None:
        """Take nothing more, and end once what is being done is done."""
        if self._receiver:
            self._receiver.stop()
        for loop in self._loops:
            loop.stop()
        self._stop_metrics()
        self._journal.audit("Application Activity", "E", type_="Application Stop")
        self._journal.event("stopped")
        self.database.close()

    def _work(self) -> int:
        if did := self._worker.step() + self._studies.step():
            for sender in self._senders:
                sender.wake()
        return did

    def _purge(self) -> int:
        purge(self.database, self._storage, self._journal, self._config.retention.days)
        return 0


def run_node(config: NodeConfig, run: Path, stop: threading.Event, ready: Callable[[], None] = lambda: None) -> None:
    """Run a node until it is told to stop.

    Parameters
    ----------
    config : NodeConfig
        Its settings.
    run : Path
        Run folder that reads images where the routes name none.
    stop : threading.Event
        Set to end the node.
    ready : callable, optional
        Called once it listens.

    Raises
    ------
    RunError
        If the folder cannot be used or another node uses it, or a run holds no usable model.
    ConfigError
        If a setting does not fit a run, or certificates cannot be used.
    """
    with writing(config.folder):
        config.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _silence_libraries()
    with _alone(config.folder):
        readers = {path: load_reader(path, config.reading, config.combine) for path in config.runs(run)}
        node = Node(config, run, readers)
        node.start()
        try:
            ready()
            stop.wait()
        finally:
            node.stop()


def _silence_libraries() -> None:
    """Their logs and warnings quote the files and addresses they are about, and so patients."""
    warnings.simplefilter("ignore")
    for name in ("pynetdicom", "pydicom", "highdicom", "dicomweb_client", "retrying", "urllib3"):
        getLogger(name).addHandler(NullHandler())
        getLogger(name).propagate = False


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which the system frees when the process ends, however it does."""
    with writing(folder / LOCK):
        file = (folder / LOCK).open("a+")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f"{folder}: another node runs on this folder; expected none. Stop it, or give another folder"
            ) from None
        yield
