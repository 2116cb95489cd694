"""Export of a run: the graph of its scoring, and what else another program needs to classify with it."""

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from bayescope.errors import RunError, lookup
from bayescope.evaluation.progress import Progress, no_progress
from bayescope.evaluation.run_images import images_of_run
from bayescope.export.description import describe
from bayescope.export.formats import FORMATS
from bayescope.export.graph import trace
from bayescope.export.runtime import graph_file, on_graph
from bayescope.inference.model import LikelihoodModel
from bayescope.runs.files import write_atomically, write_text
from bayescope.runs.model_file import load_model, model_fingerprint
from bayescope.types import Pixels

_MOST_NATS = 0.05
_FILES = ("graph", "description", "noise")


@dataclass(frozen=True)
class Exported:
    """The files of an export.

    Parameters
    ----------
    graph : Path
        The scoring of one draw, see :mod:`bayescope.export.graph`.
    description : Path
        JSON: the images expected, noise levels, plan, calibration and all else that was fitted on held-out images.
    noise : Path
        NumPy array of the noises of all draws, ``(levels, noises, channel, height, width)``.
    difference : float or None
        Largest difference of a log-likelihood ratio of a held-out image from the model's, nats; None if not measured.
    """

    graph: Path
    description: Path
    noise: Path
    difference: float | None

    @classmethod
    def beside(cls, graph: Path, difference: float | None = None) -> Self:
        """Files named after the graph's, and the ``difference`` measured."""
        return cls(graph, graph.with_name(f"{graph.name}.json"), graph.with_name(f"{graph.name}.npy"), difference)

    @property
    def files(self) -> tuple[Path, Path, Path]:
        """Graph, description and noise."""
        return self.graph, self.description, self.noise

    def to_dict(self) -> dict[str, Any]:
        """What ``bayescope export --json`` prints: paths and the difference."""
        return {name: str(path) for name, path in zip(_FILES, self.files, strict=True)} | {"difference": self.difference}


def export_run(
    run: Path,
    kind: str = "onnx",
    out: Path | None = None,
    *,
    half: bool = False,
    data: Path | None = None,
    progress: Progress = no_progress,
) -> Exported:
    """Export the model of a run, as ``bayescope export`` does.

    Parameters
    ----------
    run : Path
        Folder written by ``bayescope train``.
    kind : str, default "onnx"
        ``"onnx"`` or ``"torch-export"``.
    out : Path, optional
        File of the graph (default: in the run folder, where ``bayescope classify --runtime`` looks for it).
    half : bool, default False
        Whether to store the network's weights in half precision.  The log-likelihood ratios of the held-out images have to
        stay within 0.05 nats.
    data : Path, optional
        Data with the run's validation images, for ``half`` (default: the data it was trained on).
    progress : callable, optional
        Called as each stage begins, see :data:`bayescope.evaluation.progress.Progress`.

    Returns
    -------
    Exported
        The files.

    Raises
    ------
    RunError
        If the run or its data cannot be found, a file cannot be written, or half precision changes the ratios.
    ConfigError
        If the format is unknown or its packages are not installed.
    DataError
        If ``half`` is given and the validation images cannot be read.

    Examples
    --------
    >>> export_run(Path("runs/breast"), "onnx").graph  # doctest: +SKIP
    """
    file_format = lookup(FORMATS, kind, "format")
    file_format.check_installed()
    model, files = load_model(run), Exported.beside(out or graph_file(run, kind))
    fingerprint = model_fingerprint(run)
    program = trace(model.denoiser, half)
    content = file_format.pack(program, fingerprint)
    if half:
        exported = on_graph(model, file_format.ready(program, content))
        held_out, _ = images_of_run(model, run, data, "val", progress)
        files = replace(files, difference=_check_half(model, exported, held_out.images.pixels, progress))
    noise = io.BytesIO()
    np.save(noise, model.draws()[1].numpy(), allow_pickle=False)
    write_atomically(files.noise, noise.getvalue())
    write_text(files.description, json.dumps(describe(model, fingerprint, files.difference), indent=1) + "\n")
    write_atomically(files.graph, content)
    return files


def _check_half(model: LikelihoodModel, exported: LikelihoodModel, pixels: Pixels, progress: Progress) -> float:
    """Largest difference of log-likelihood ratios, scored in full, nats.  Raises RunError if it is too large."""
    before, after = (
        one.classify(pixels, disagreement_rate=0.0, callback=progress(title, len(pixels))).log_likelihood_ratio
        for title, one in (("scoring held-out images", model), ("scoring in half precision", exported))
    )
    difference = float(np.abs(after - before).max())
    if not difference <= _MOST_NATS:
        raise RunError(
            f"half precision changes log-likelihood ratios of {len(pixels)} held-out images by up to {difference:.3g} nats; "
            f"expected at most {_MOST_NATS}. Export without --half"
        )
    return difference
