"""Bayescope: medical image classification by likelihood."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bayescope.classifier import ScoreClassifier
    from bayescope.data.load import load_dataset
    from bayescope.data.preparation.prepare import prepare_archive
    from bayescope.evaluation.evaluate import evaluate_run
    from bayescope.evaluation.report.build import write_report
    from bayescope.inference.explain import explain
    from bayescope.inference.read import read_for_model
    from bayescope.runs.model_file import load_model
    from bayescope.study_classifier import StudyClassifier

__version__ = "0.1.0"
__all__ = [
    "ScoreClassifier",
    "StudyClassifier",
    "__version__",
    "evaluate_run",
    "explain",
    "load_dataset",
    "load_model",
    "prepare_archive",
    "read_for_model",
    "write_report",
]
_MODULES = {
    "ScoreClassifier": "bayescope.classifier",
    "StudyClassifier": "bayescope.study_classifier",
    "evaluate_run": "bayescope.evaluation.evaluate",
    "explain": "bayescope.inference.explain",
    "load_dataset": "bayescope.data.load",
    "load_model": "bayescope.runs.model_file",
    "prepare_archive": "bayescope.data.preparation.prepare",
    "read_for_model": "bayescope.inference.read",
    "write_report": "bayescope.evaluation.report.build",
}
"""Where each public name is defined, imported when it is first asked for: importing the package loads nothing else."""


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'bayescope' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_MODULES]
