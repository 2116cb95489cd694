"""The engine of one machine: a loop in this process, or worker processes."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any

from bayescope.engines.engine import Engine, Result, Task
from bayescope.errors import RunError

_WAITING_PER_WORKER = 4
_work: Callable[[Any], Any]
"""What a worker process applies to its tasks."""


class LocalEngine(Engine):
    """Runs tasks in this process, or in ``workers`` processes where their number is given; few are handed out ahead."""

    def run(self, make_worker: Callable[[], Callable[[Task], Result]], tasks: Sequence[Task]) -> Iterator[Result]:
        """See :meth:`Engine.run`."""
        if self.workers is None:
            yield from map(make_worker(), tasks) if tasks else ()
        else:
            yield from _in_processes(min(self.workers, max(1, len(tasks))), make_worker, iter(tasks))


def _in_processes(workers: int, make_worker: Callable[[], Callable[[Task], Result]], tasks: Iterator[Task]) -> Iterator[Result]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(make_worker,)) as pool:
        pending: set[Future[Result]] = set()
        try:
            while True:
                for _, task in zip(range(_WAITING_PER_WORKER * workers - len(pending)), tasks, strict=False):
                    pending.add(pool.submit(_apply, task))
                if not pending:
                    return
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in finished)
        except BrokenProcessPool:
            raise RunError(
                "a worker process was killed, perhaps for lack of memory; what was done is kept. Run again to continue, "
                "with fewer --workers"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _start(make_worker: Callable[[], Callable[[Any], Any]]) -> None:
    global _work
    try:
        _work = make_worker()
    except Exception as error:  # told with the first task: the pool would take it for a killed process
        _work = partial(_refuse, error)


def _refuse(error: Exception, task: Any) -> Any:
    raise error


def _apply(task: Any) -> Any:
    return _work(task)
