"""Engines that apply a function to many tasks: in processes of this machine, or on a Ray cluster.

Another engine is a subclass of :class:`bayescope.engines.engine.Engine` and a line in ``ENGINES``.
"""

from bayescope.engines.engine import Engine
from bayescope.engines.local import LocalEngine
from bayescope.engines.ray_cluster import RayEngine
from bayescope.errors import ConfigError, lookup

ENGINES: dict[str, type[Engine]] = {"local": LocalEngine, "ray": RayEngine}
"""By the word of ``--engine``."""


def open_engine(word: str, workers: int | None = None, address: str | None = None, gpus_per_worker: int = 0) -> Engine:
    """The engine of a word, ready to run.

    Parameters
    ----------
    word : str
        One of ``ENGINES``.
    workers : int, optional
        Number of worker processes (default: the engine's own).
    address : str, optional
        Address of a running Ray cluster (default: one is started on this machine).
    gpus_per_worker : int, default 0
        GPUs that each worker has to itself, on Ray.

    Returns
    -------
    Engine
        The engine.

    Raises
    ------
    ConfigError
        If the word is unknown, the engine is not installed, or takes no address.
    """
    kind = lookup(ENGINES, word, "engine")
    if address is not None and not kind.takes_address:
        raise ConfigError(f"--address {address} with --engine {word}; expected --engine ray. Add it, or leave --address out")
    engine = kind(workers, address, gpus_per_worker)
    engine.check_installed()
    return engine
