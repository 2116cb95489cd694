"""The model card that the service gives: facts of the run, and limits of requests."""

from pathlib import Path
from typing import Any

from bayescope.evaluation.run_facts import run_facts
from bayescope.inference.model import LikelihoodModel
from bayescope.service.settings import ServiceSettings


def model_card(run: Path, model: LikelihoodModel, settings: ServiceSettings) -> dict[str, Any]:
    """What whoever uses a service should know of its model.

    Parameters
    ----------
    run : Path
        Run folder.
    model : LikelihoodModel
        Its model.
    settings : ServiceSettings
        Limits of requests.

    Returns
    -------
    dict
        As :func:`bayescope.evaluation.run_facts.run_facts`, and ``"service"``.

    Raises
    ------
    RunError
        If a file of the folder is damaged.
    """
    return run_facts(run, model) | {
        "service": {
            "max_upload": settings.max_upload,
            "max_pixels": settings.max_pixels,
            "max_images": settings.max_images,
            "dicomweb": settings.dicomweb is not None,
            "keeps_uploads": settings.keep is not None,
        },
    }
