"""Programs in processes of their own that begin as copies of one that has imported what training needs.

Importing takes seconds, paid once for all of them.  What depends on how an interpreter begins, such as its encoding, or starts
more processes by its command line, needs ``subprocess``.
"""

import multiprocessing
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

COMMAND = "from bayescope.cli.main import run; run()"
_IMPORTED = ["bayescope.classifier", "bayescope.cli.main", "bayescope.tracking.loggers", "torch._dynamo"]
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(_IMPORTED)


class Started:
    """``python -c code arguments`` on one thread, with the methods of ``subprocess.Popen``."""

    def __init__(self, arguments: Iterable[object], code: str = COMMAND, env: Mapping[str, str] | None = None) -> None:
        self._folder = TemporaryDirectory()
        self._streams = [Path(self._folder.name) / name for name in ("stdout", "stderr")]
        given = (code, list(map(str, arguments)), dict(env or os.environ), *self._streams)
        self._process = _CONTEXT.Process(target=_begin, args=given, daemon=True)
        self._process.start()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        assert self._process.pid
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def communicate(self, timeout: float = 300.0) -> tuple[str, str]:
        """What it printed, once it has ended."""
        self._process.join(timeout)
        assert self.returncode is not None, "it has not ended"
        out, err = (stream.read_text() for stream in self._streams)
        return out, err

    def wait(self, timeout: float = 300.0) -> int:
        self.communicate(timeout)
        assert self.returncode is not None
        return self.returncode


def _begin(code: str, arguments: list[str], env: dict[str, str], out: Path, err: Path) -> None:
    os.environ.clear()
    os.environ.update(env)
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
    torch.set_num_threads(1)
    sys.argv = ["-c", *arguments]
    exec(code, {"__name__": "__main__"})
