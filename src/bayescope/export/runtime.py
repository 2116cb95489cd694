"""A trained model that scores images by an exported graph: the same engine, early stopping included, on another runtime."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from bayescope.diffusion.denoiser import Denoiser, LevelDenoiser
from bayescope.diffusion.wrapped import WrappedDenoiser
from bayescope.errors import RunError, lookup, reading
from bayescope.export.formats import FORMATS, ONNX, Graph
from bayescope.inference.model import LikelihoodModel
from bayescope.runs.model_file import load_model, model_fingerprint

RUNTIMES = ("torch", "onnx")
"""Words of ``bayescope classify --runtime``; torch runs the network itself."""


class GraphDenoiser(WrappedDenoiser):
    """A denoiser whose network passes are those of a graph.

    Parameters
    ----------
    inner : Denoiser
        The denoiser that was exported, which does all that needs no network pass.
    graph : callable
        The graph, see :mod:`bayescope.export.graph`.
    """

    def __init__(self, inner: Denoiser, graph: Graph) -> None:
        super().__init__(inner)
        self.graph = graph

    def at_level(self, sigma: float | Tensor) -> LevelDenoiser:
        """The graph at one level, given images that the engine has added the noise to."""
        level, no_noise = torch.as_tensor(sigma, dtype=self.mean.dtype), torch.zeros_like(self.mean)
        return lambda z, image, label: self.graph(z, no_noise, level, image, label).to(z.device)


def graph_file(run: Path, kind: str) -> Path:
    """Where ``bayescope export`` puts the graph of a run."""
    return run / f"model{lookup(FORMATS, kind, 'format').suffix}"


def load_model_on(run: Path, runtime: str = "torch", device: str = "cpu") -> LikelihoodModel:
    """Load the model of a run to score images on a runtime.

    Parameters
    ----------
    run : Path
        Folder written by ``bayescope train``.
    runtime : str, default "torch"
        ``"torch"``, or ``"onnx"``: the graph of ``bayescope export``, run by onnxruntime on the CPU.
    device : str, default "cpu"
        As for :func:`bayescope.runs.model_file.load_model`.

    Returns
    -------
    LikelihoodModel
        The model; its predictions are those of torch up to rounding.

    Raises
    ------
    RunError
        If the run cannot be loaded, was not exported, or was trained or adapted again since.
    ConfigError
        If the runtime is unknown or not installed, or the device is not available.

    Examples
    --------
    >>> model = load_model_on(Path("runs/breast"), "onnx")  # doctest: +SKIP
    """
    lookup(dict.fromkeys(RUNTIMES), runtime, "runtime")
    model = load_model(run, device)
    return model if runtime == "torch" else on_graph(model, _graph_of(run))


def _graph_of(run: Path) -> Graph:
    """The ONNX graph of a run's own model."""
    ONNX.check_installed()
    file, again = graph_file(run, "onnx"), f"`bayescope export {run}`"
    with reading(file, RunError):
        content = file.read_bytes() if file.is_file() else None
    if content is None:
        raise RunError(f"{run}: has no {file.name}; expected an exported graph. Write it with {again}")
    try:
        graph, fingerprint = ONNX.unpack(content)
    except Exception as error:  # onnxruntime raises its own kinds
        reason = str(error).partition("\n")[0]
        raise RunError(
            f"{file}: cannot be read ({reason}); expected a file of `bayescope export`. Write it again with {again} --force"
        ) from None
    if fingerprint != model_fingerprint(run):
        raise RunError(
            f"{file}: is of another model ({fingerprint[:12]}) than the run's; expected its own. Write it with {again} --force"
        )
    return graph


def on_graph(model: LikelihoodModel, graph: Graph) -> LikelihoodModel:
    """The model with its network passes on a graph."""
    return replace(model, denoiser=GraphDenoiser(model.denoiser, graph).eval())
