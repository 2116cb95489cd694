"""What a run knows of its model: data, measures, calibration and limits, as plain numbers and words."""

from collections import Counter
from pathlib import Path
from typing import Any

from bayescope import __version__
from bayescope.inference.model import LikelihoodModel
from bayescope.runs.files import MEASURES, METRICS, read_json, read_lines
from bayescope.runs.folder import read_manifest, read_record
from bayescope.runs.model_file import model_fingerprint

_OF_DATA = ("source", "fingerprint", "notes", "warnings", "files", "unlabelled", "init")
_LIMITS = (
    "For research; not a medical device.",
    "The predictions apply to images like those of training: the same kind of device, view, preparation and patients.",
    "A likelihood ratio compares the classes of the model with each other: an image of none of them is for the novelty test.",
)


def run_facts(run: Path, model: LikelihoodModel) -> dict[str, Any]:
    """What whoever uses a model should know of it.

    Parameters
    ----------
    run : Path
        Run folder; what was measured is taken from ``measures.json`` in it, as ``bayescope demo`` and ``bayescope evaluate
        --out`` write, if it is there.
    model : LikelihoodModel
        Its model.

    Returns
    -------
    dict
        Plain numbers and words.

    Raises
    ------
    RunError
        If a file of the folder is damaged.
    """
    manifest, evidence = read_manifest(run), model.config.evidence
    validations = read_lines(run / METRICS)
    return {
        "fingerprint": model_fingerprint(run),
        "version": __version__,
        "class_names": list(model.class_names),
        "class_prior": model.by_class(model.class_prior),
        "image_shape": list(model.image_shape),
        "pixel_type": model.pixel_type,
        "reads_dicom": model.preparation is not None,
        "can_resize": model.preparation is None and model.sizing is not None,
        "data": {key: manifest[key] for key in _OF_DATA if key in manifest} | {"images": _images(run)},
        "training": model.config.training.model_dump(include={"steps", "batch_size", "augmentation", "optimizer"}),
        "measures": read_json(run / MEASURES) if (run / MEASURES).is_file() else {},
        "validation": validations[-1] if validations else {},
        "scoring": {
            "sigmas": model.sigmas.tolist(),
            "noises": evidence.noises,
            "disagreement_rate": evidence.disagreement_rate,
            "max_passes": evidence.max_passes,
            "stops_early": model.plan is not None and model.calibration.stopping_offset(model.class_prior) is not None,
        },
        "calibration": {
            "kind": model.calibration.kind,
            "calibrated": model.calibration.calibrated,
            "images": model.by_class(model.calibration.images),
            "warning": model.calibration.warning,
        },
        "poolings": [one.to_dict() for one in model.post_hoc.poolings],
        "decisions": _decisions(model),
        "novelty": None if model.novelty is None else {"images": model.novelty.images},
        "limits": [*_LIMITS, *filter(None, [model.calibration.warning])],
    }


def _images(run: Path) -> dict[str, int]:
    """Different images of each split."""
    record = read_record(run)
    return {} if record is None else dict(Counter(record.images.values()))


def _decisions(model: LikelihoodModel) -> dict[str, Any] | None:
    if model.decisions is None:
        return None
    sets, abstention = model.decisions.sets, model.decisions.abstention
    return {
        "prior": model.by_class(model.decisions.prior),
        "miscoverage": sets.miscoverage,
        "risk": abstention.risk,
        "coverage": abstention.coverage,
        "warning": abstention.warning,
    }
