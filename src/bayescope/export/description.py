"""What another program needs beside the graph to classify images: their form, noise levels, plan and calibration."""

from dataclasses import asdict
from typing import Any

from bayescope import __version__
from bayescope.inference.model import LikelihoodModel
from bayescope.json_values import finite

FORMAT = 1


def describe(model: LikelihoodModel, fingerprint: str, difference: float | None = None) -> dict[str, Any]:
    """Plain numbers and words, strict JSON.

    ``fingerprint``: of the model; ``difference``: that half precision makes to a ratio, nats, None in single precision.
    """
    evidence = model.config.evidence
    return finite(
        {
            "format": FORMAT,
            "version": __version__,
            "fingerprint": fingerprint,
            "half_precision": None if difference is None else {"largest_change_of_a_ratio": difference},
            "class_names": list(model.class_names),
            "class_prior": model.class_prior.tolist(),
            "images": {
                "shape": list(model.image_shape),
                "pixel_type": model.pixel_type,
                "scale": asdict(model.scale),
                "sizing": model.sizing,
                "preparation": model.preparation.to_dict() if model.preparation else None,
            },
            "sigmas": model.sigmas.tolist(),
            "noises": evidence.noises,
            "stopping": {"disagreement_rate": evidence.disagreement_rate, "max_passes": evidence.max_passes},
            "plan": _plan(model),
            **model.post_hoc.to_dict(),
        }
    )


def _plan(model: LikelihoodModel) -> dict[str, list[int]] | None:
    """Level and noise of each draw, in the order that leaves least uncertain at every prefix."""
    plan = model.plan
    return None if plan is None else {"level": plan.order.tolist(), "noise": plan.noise_index.tolist()}
