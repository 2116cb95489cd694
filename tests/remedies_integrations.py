"""Remedies of the errors of exports, model cards and loggers, followed."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from bayescope.diffusion import spectral_denoiser
from bayescope.export import export as export_module
from bayescope.export.runtime import graph_file
from bayescope.runs.model_file import load_model, save_model
from remedies import NOT_FOLLOWED, Place, remedy

NOT_FOLLOWED.update(
    {
        ("export.formats:check_installed", ""): "needs an installation without ONNX",
        ("evaluation.model_card:model_card", ""): "needs an installation without huggingface_hub",
    }
)


def _first(function: Callable[..., Any]) -> Callable[..., Any]:
    """What ``function`` returned first, at every call: the network stays the same, and its graph takes seconds."""
    found: list[Any] = []

    def call(*positional: Any, **named: Any) -> Any:
        if not found:
            found.append(function(*positional, **named))
        return found[0]

    return call


@remedy("export.runtime:_graph_of", "has no {}; expected an exported graph")
@remedy("export.runtime:_graph_of", "is of another model")
@remedy("export.runtime:_graph_of", "cannot be read")
def graph(p: Place) -> None:
    p.patch.setattr(export_module, "trace", _first(export_module.trace))
    p.patch.setattr(torch.onnx, "export", _first(torch.onnx.export))
    export, classify = ("export", p.run), ("classify", p.run, p.picture(), "--runtime", "onnx")
    assert "`bayescope export" in p.refused(*classify)
    p.works(*export)
    p.works(*classify)
    file: Path = graph_file(p.run, "onnx")
    file.write_bytes(file.read_bytes()[:1000])
    p.refused(*classify)
    p.works(*export, "--force")
    p.works(*classify)
    model = load_model(p.run)
    save_model(p.run, model.__class__(**(vars(model) | {"class_prior": model.class_prior[::-1] * [0.4, 1.6]})))
    p.refused(*classify)
    p.works(*export, "--force")
    p.works(*classify)


@remedy("export.graph:trace", "expected 0: a graph has one image size for all noise levels")
def cropped(p: Place) -> None:
    p.patch.setattr(spectral_denoiser, "SMALLEST_SIDE", 1)
    whole = p.config
    p.config = whole.model_copy(update={"net": whole.net.model_copy(update={"crop_snr": 0.1})})
    p.works(*p.train())
    assert "Train with crop_snr 0" in p.refused("export", p.out)
    p.config = whole
    p.works(*p.train(None, "--force"))
    p.works("export", p.out)


@remedy("export.export:_check_half", "Export without --half")
def half(p: Place) -> None:
    model = load_model(p.run)
    weights = model.level_weights
    save_model(p.run, model.with_post_hoc(level_weights=weights.__class__(2000 * weights.weights, weights.class_bias)))
    export = ("export", p.run, "--format", "torch-export", "--data", p.npz)
    p.refused(*export, "--half")
    p.works(*export)


@remedy("tracking.tensorboard:__init__", "leave the logger out")
@remedy("tracking.mlflow:__init__", "leave the logger out")
def no_logger(p: Place) -> None:
    for word, module in (("tensorboard", "torch.utils.tensorboard"), ("mlflow", "mlflow")):
        p.patch.setitem(sys.modules, module, None)
        p.refused(*p.train(None, "--logger", word))
    p.works(*p.train())
