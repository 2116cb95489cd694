"""The engine of a Ray cluster: Ray Data maps a function over tasks in a pool of actors.

Tasks are small, paths and numbers, and so are results: what is read and computed stays in the workers, and the object store
is kept small.  A worker that is killed is replaced, and its tasks are run again.  The function handles what a task may meet;
an exception that it lets through ends the job.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from typing import Any, ClassVar, cast

from bayescope.engines.engine import Engine, Result, Task
from bayescope.errors import BayescopeError, ConfigError, RunError

_OBJECT_STORE = 128 * 2**20
"""Bytes of shared memory for a cluster started here, which holds tasks and results only."""
_MOST_BLOCKS = 10_000
_SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Of a cluster started here, unless set otherwise: nothing is reported to anyone, and it listens on loopback only."""


class RayEngine(Engine):
    """Runs tasks in ``workers`` actors of one CPU each (default: as many as the cluster has CPUs, or GPUs where asked for)."""

    takes_address: ClassVar[bool] = True

    def check_installed(self) -> None:
        """See :meth:`Engine.check_installed`."""
        if find_spec("ray") is None:
            raise ConfigError("--engine ray needs Ray; expected it to be installed. Install it: pip install 'bayescope[ray]'")

    def run(self, make_worker: Callable[[], Callable[[Task], Result]], tasks: Sequence[Task]) -> Iterator[Result]:
        """See :meth:`Engine.run`."""
        if not tasks:
            return
        with self._cluster():
            import ray.data
            from ray.exceptions import RayError

            logging.getLogger("ray.data").setLevel(logging.ERROR)
            context = ray.data.DataContext.get_current()
            context.enable_progress_bars = False
            rows = ray.data.from_items([{"task": task} for task in tasks], override_num_blocks=min(len(tasks), _MOST_BLOCKS))
            mapped = rows.map(
                cast(Any, _Worker),
                fn_constructor_args=(make_worker,),
                compute=ray.data.ActorPoolStrategy(min_size=1, max_size=(n := self._workers(len(tasks))), initial_size=n),
                num_cpus=1,
                num_gpus=self.gpus_per_worker,
            )
            try:
                for row in mapped.iter_rows():
                    yield row["result"]
            except RayError as error:
                raise _error_of_worker(error) from None

    def _workers(self, n_tasks: int) -> int:
        """At most as many as there are tasks and places on the cluster."""
        import ray

        found = ray.cluster_resources()
        places = int(found.get("CPU", 1))
        if self.gpus_per_worker:
            places = min(places, int(found.get("GPU", 0)) // self.gpus_per_worker)
        if not places:
            raise RunError(
                "the Ray cluster has no GPU; expected one for each worker. Give --device cpu, or add nodes with GPUs"
            )
        return min(self.workers or places, places, n_tasks)

    @contextmanager
    def _cluster(self) -> Iterator[None]:
        """The cluster at the address, one that the caller has opened, or one that is started for the time of the job."""
        if self.address is None:
            for name, value in _SETTINGS.items():
                os.environ.setdefault(name, value)
        import ray

        if ray.is_initialized():
            yield
            return
        with redirect_stdout(sys.stderr):  # where Ray tells of workers that died
            self._connect()
            try:
                yield
            finally:
                ray.shutdown()

    def _connect(self) -> None:
        import ray

        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self.address is None:
            options |= {"num_cpus": self.workers, "include_dashboard": False, "object_store_memory": _OBJECT_STORE}
            ray.init("local", **options)
        else:
            try:
                ray.init(self.address, **options)
            except (ConnectionError, ValueError, RuntimeError) as error:
                reason = " ".join(str(error).split())
                raise RunError(
                    f"{self.address}: no Ray cluster ({reason:.200}); expected the address of one. Start it with "
                    "`ray start --head`, or leave --address out"
                ) from None


class _Worker:
    """An actor's function from row to row."""

    def __init__(self, make_worker: Callable[[], Callable[[Any], Any]]) -> None:
        self._work = make_worker()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"result": self._work(row["task"])}


def _error_of_worker(error: BaseException) -> BaseException:
    """Our own error where a worker raised one, or else a RunError with the reason."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, BayescopeError) and type(cause).__module__ == BayescopeError.__module__:
            return cause
        cause = getattr(cause, "cause", None) or cause.__cause__
    reason = " ".join(str(error).split())
    return RunError(
        f"a Ray worker failed ({reason:.500}); what was done is kept. Run again to continue, with fewer --workers if memory "
        "was short"
    )
