"""Calibration of likelihood ratios on held-out images: the available kinds, by name."""

from collections import ChainMap
from collections.abc import Mapping
from typing import Any

from bayescope.calibration.affine import BiasCorrectedTemperatureScaling
from bayescope.calibration.base import Calibration
from bayescope.calibration.isotonic import IsotonicCalibration
from bayescope.errors import RunError

__all__ = ["CALIBRATIONS", "KINDS", "NONE", "Calibration", "calibration_from_dict"]

KINDS: dict[str, type[Calibration]] = {"affine": BiasCorrectedTemperatureScaling, "isotonic": IsotonicCalibration}
NONE = "none"
CALIBRATIONS: Mapping[str, type[Calibration] | None] = ChainMap({NONE: None}, KINDS)  # type: ignore[arg-type]
"""By word of ``evidence.calibration``: the kinds, or none."""


def calibration_from_dict(content: dict[str, Any]) -> Calibration:
    """The inverse of ``to_dict`` of any kind.  Raises RunError if ``content`` is something else."""
    kind = content.get("kind")
    if kind not in KINDS:
        raise RunError(
            f"a calibration of kind {kind!r} cannot be read; expected one of {', '.join(KINDS)}. Train the model again"
        )
    return KINDS[kind].from_dict(content)
