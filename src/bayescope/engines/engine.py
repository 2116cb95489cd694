"""What every engine does."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Engine(ABC):
    """Applies a function to tasks in several workers.

    Parameters
    ----------
    workers : int, optional
        Number of worker processes.
    address : str, optional
        Address of a running cluster.
    gpus_per_worker : int, default 0
        GPUs that each worker has to itself.
    """

    workers: int | None = None
    address: str | None = None
    gpus_per_worker: int = 0
    takes_address: ClassVar[bool] = False

    def check_installed(self) -> None:  # noqa: B027  most engines need nothing
        """Raise ConfigError if a package that the engine needs is not installed."""

    @abstractmethod
    def run(self, make_worker: Callable[[], Callable[[Task], Result]], tasks: Sequence[Task]) -> Iterator[Result]:
        """Results of all tasks, in the order in which they are done.

        Parameters
        ----------
        make_worker : callable
            Called once in each worker; returns the function to apply to each task.  Importable by name, as are tasks and
            results.
        tasks : sequence
            What each call is given.  A task whose worker was killed may be run again.

        Yields
        ------
        object
            The result of a task.

        Raises
        ------
        RunError
            If a worker was killed and cannot be replaced, or the cluster cannot be reached.
        """
