"""Threads that repeat a step until they are stopped, whatever goes wrong in it."""

import threading
from collections.abc import Callable

from bayescope.node.journal import Journal, describe

_AFTER_ERROR_S = 5.0


class Loop:
    """Repeats ``step``, which returns how much it did: at once if something, else after ``idle_s`` or when woken."""

    def __init__(self, name: str, step: Callable[[], int], idle_s: float, journal: Journal) -> None:
        self._name, self._step, self._idle_s, self._journal = name, step, idle_s, journal
        self._awake, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """There is something to do."""
        self._awake.set()

    def stop(self) -> None:
        """End after the step that is being made."""
        self._stopped.set()
        self._awake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._awake.clear()
            try:
                did, wait = self._step(), self._idle_s
            except Exception as error:  # the next step may fare better
                self._journal.event("step failed", "error", step=self._name, error=describe(error))
                did, wait = 0, _AFTER_ERROR_S
            if not did and not self._stopped.is_set():
                self._awake.wait(wait)
