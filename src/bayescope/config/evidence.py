"""Settings of scoring by denoising evidence."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field, field_validator

from bayescope.config.section import SigmaRange


class EvidenceConfig(SigmaRange):
    """How an image is scored, and what is fitted on validation images."""

    old_keys: ClassVar[Mapping[str, str]] = {
        "error_rate": "disagreement_rate",
        "imitated_shift": "calibration_augmentation",
    }
    old_values: ClassVar[Mapping[str, Mapping[str, str]]] = {"calibration": {"monotone": "isotonic"}}

    levels: int = Field(10, ge=1, description="Noise levels at which an image is scored, equally spaced in log σ.")
    noises: int = Field(
        4,
        ge=1,
        description="Noises at each level, the same for every class and image. From four on an even number, in opposite pairs.",
    )
    sigma_min: float = Field(0.05, gt=0, description="Lowest noise level σ, in model units, where pixels span [-1, 1].")
    sigma_max: float = Field(5.0, gt=0, description="Highest noise level σ.")
    level_weights: str = Field(
        "fitted",
        description="Weights of the levels. `bound`: the integral over log σ; `power`: times σ^`power`; `fitted`: on "
        "validation images.",
    )
    power: float = Field(0.5, description="Exponent of `level_weights` = `power`.")
    calibration: str = Field(
        "affine",
        description="Calibration of the likelihood ratios on validation images. `affine`: a slope and an offset per class; "
        "`isotonic`: any rising map of each class's ratio, which needs more images and full scoring; `none`: raw ratios.",
    )
    calibration_augmentation: float = Field(
        1.0,
        ge=0,
        le=5,
        description="Level weights and calibration are also fitted on an augmented copy of each validation image, changed this "
        "many times as strongly as in training; 0: no copies.",
    )
    disagreement_rate: float = Field(
        0.04,
        ge=0,
        lt=1,
        description="Scoring stops early where at most this share of the predictions differ from those of full scoring; 0: "
        "always in full.",
    )
    max_passes: int | None = Field(None, ge=2, description="Most network passes per image; left out: as many as needed.")
    miscoverage: float = Field(
        0.1, gt=0, lt=1, description="Prediction sets miss the true class in at most this share of the images of any class."
    )
    risk: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="At most this share of the predictions without abstention is wrong, of images like the validation images.",
    )

    @field_validator("noises")
    @classmethod
    def _in_pairs(cls, noises: int) -> int:
        if noises > 3 and noises % 2:
            raise ValueError("1, 2, 3 or an even number of noises, which come in opposite pairs")
        return noises
