"""Files that a graph is kept in: ONNX, which onnxruntime runs, and the archive of torch.export, which torch runs.

Archives are written only, never read: torch unpickles what an altered one holds as its example.
"""

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Protocol

import torch
from torch import Tensor
from torch.export import ExportedProgram

from bayescope.errors import ConfigError
from bayescope.export.graph import INPUTS, OUTPUTS

_KEY = "bayescope"
"""Under which a file holds the fingerprint of its model."""

Graph = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
"""A graph ready to run on the CPU: the inputs of :mod:`bayescope.export.graph` to the denoised images."""


class GraphFormat(Protocol):
    """A kind of file for graphs.  A new one is a class with these members and a line in :data:`FORMATS`."""

    suffix: str
    """Of its files, with the dot."""

    def check_installed(self) -> None:
        """Raise ConfigError, naming the extra to install, if a package is missing."""
        ...

    def pack(self, program: ExportedProgram, fingerprint: str) -> bytes:
        """The content of a file of a traced graph; ``fingerprint``: of the model."""
        ...

    def ready(self, program: ExportedProgram, content: bytes) -> Graph:
        """What was packed, ready to run."""
        ...


class Onnx:
    """ONNX, run by onnxruntime with as many threads as torch has."""

    suffix = ".onnx"

    def check_installed(self) -> None:
        """Raise ConfigError unless onnx, onnxscript and onnxruntime are there."""
        if missing := [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]:
            raise ConfigError(
                f"ONNX: {', '.join(missing)} not installed; expected the optional packages of ONNX. Install them: "
                "`pip install 'bayescope[onnx]'`"
            )

    def pack(self, program: ExportedProgram, fingerprint: str) -> bytes:
        """The model as ONNX, the fingerprint in its metadata."""
        with _quietly():
            found = torch.onnx.export(program, input_names=INPUTS, output_names=OUTPUTS, verbose=False)
        assert found is not None
        proto = found.model_proto
        proto.metadata_props.add(key=_KEY, value=fingerprint)
        return bytes(proto.SerializeToString())

    def ready(self, program: ExportedProgram, content: bytes) -> Graph:
        """A session of the file."""
        return self.unpack(content)[0]

    def unpack(self, content: bytes) -> tuple[Graph, str]:
        """The graph of a file, run on the CPU, and the fingerprint of its model.

        Raises an error of onnxruntime, or KeyError, for other content.
        """
        from onnxruntime import InferenceSession, SessionOptions

        options = SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = InferenceSession(content, options, providers=["CPUExecutionProvider"])

        def run(*inputs: Tensor) -> Tensor:
            feed = {name: value.numpy(force=True) for name, value in zip(INPUTS, inputs, strict=True)}
            return torch.from_numpy(session.run(OUTPUTS[:1], feed)[0])

        return run, session.get_modelmeta().custom_metadata_map[_KEY]


class TorchExport:
    """The archive of torch.export, run by torch."""

    suffix = ".pt2"

    def check_installed(self) -> None:
        """Torch is always there."""

    def pack(self, program: ExportedProgram, fingerprint: str) -> bytes:
        """The archive, the fingerprint as a file in it."""
        buffer = io.BytesIO()
        with _quietly():
            torch.export.save(program, buffer, extra_files={_KEY: fingerprint})
        return buffer.getvalue()

    def ready(self, program: ExportedProgram, content: bytes) -> Graph:
        """The program as a module."""
        module = program.module()
        return lambda *inputs: module(*(value.cpu() for value in inputs))[0]


ONNX = Onnx()
FORMATS: dict[str, GraphFormat] = {"onnx": ONNX, "torch-export": TorchExport()}
"""By word of ``bayescope export --format``."""


@contextmanager
def _quietly() -> Iterator[None]:
    """Without torch's own warnings, such as those of packages that the graph does not need."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
