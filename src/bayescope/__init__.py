"""Bayescope: medical image classification by likelihood."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bayescope.classifier import ScoreClassifier
    from bayescope.data.load import load_dataset

__version__ = "0.1.0"
__all__ = ["ScoreClassifier", "__version__", "load_dataset"]
_HOMES = {"ScoreClassifier": "bayescope.classifier", "load_dataset": "bayescope.data.load"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'bayescope' has no attribute {name!r}")
