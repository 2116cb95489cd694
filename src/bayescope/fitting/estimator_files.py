"""The scikit-learn estimator as a run folder: what it keeps with the model, and how it is read back."""

from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from sklearn.base import BaseEstimator

from bayescope.config import parse_config
from bayescope.fitting.estimator import parameters_of
from bayescope.inference.predictions import check_prior
from bayescope.runs.folder import read_manifest, read_record, save_run
from bayescope.runs.model_file import load_model

_ESTIMATOR = "estimator"
Estimator = TypeVar("Estimator", bound=BaseEstimator)


def save_estimator(estimator: Any, run: Path, force: bool) -> None:
    """Write a fitted ``estimator`` as a run folder, with its prior and stopping rule of now; ``force`` replaces a run.

    Raises RunError if the folder cannot be written, or contains anything but a run to replace.
    """
    model, classes = estimator.model_, estimator.classes_
    n_features = getattr(estimator, "n_features_in_", None)
    about = {"classes": classes.tolist(), "dtype": classes.dtype.str, "n_features_in": n_features}
    scoring = {"disagreement_rate": estimator.disagreement_rate, "max_passes": estimator.max_passes}
    evidence = parse_config({"evidence": model.config.evidence.model_dump() | scoring}).evidence
    config = model.config.model_copy(update={"evidence": evidence})
    prior = check_prior(np.asarray(estimator.class_prior_, dtype=float), model.class_names)
    saved = replace(model, config=config, class_prior=prior)
    save_run(run, saved, estimator.manifest_ | {_ESTIMATOR: about}, estimator.record_, force)


def load_estimator(kind: type[Estimator], run: Path, device: str) -> Estimator:
    """A fitted estimator of this ``kind`` from a run folder, scoring on ``device``.

    Raises RunError if it cannot be read; ConfigError if the device is not there.
    """
    model, manifest = load_model(run, device), read_manifest(run)
    about = manifest.get(_ESTIMATOR, {"classes": model.class_names, "dtype": "U", "n_features_in": None})
    estimator: Any = kind(**parameters_of(model) | {"device": device, "image_shape": model.image_shape})
    estimator.model_, estimator.class_prior_ = model, model.class_prior
    estimator.manifest_, estimator.record_ = manifest, read_record(run)
    estimator.classes_ = np.array(about["classes"], dtype=about["dtype"])
    if about["n_features_in"] is not None:
        estimator.n_features_in_ = about["n_features_in"]
    return estimator
