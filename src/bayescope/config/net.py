"""Settings of the network."""

from collections.abc import Mapping
from typing import ClassVar, Self

from pydantic import Field, model_validator

from bayescope.config.section import Section


class NetConfig(Section):
    """The network of the score model."""

    old_keys: ClassVar[Mapping[str, str]] = {"patterns": "csp_filters"}

    kind: str = Field(
        "fast",
        description="`fast`: a U-Net preconditioned by the spectrum of the images; `paper`: the U-Net of Sarker et al., which "
        "predicts the noise.",
    )
    schedule: str = Field("vp", description="Diffusion schedule of a network that predicts the noise (`paper`).")
    widths: tuple[int, ...] = Field((32, 64, 96), min_length=1, description="Channels at each resolution, from fine to coarse.")
    blocks: int = Field(1, ge=1, description="Residual blocks at each resolution.")
    dropout: float = Field(0.0, ge=0.0, lt=1.0, description="Dropout rate at the coarsest resolution.")
    csp_filters: int = Field(
        0,
        ge=0,
        le=24,
        description="Filters of the stem (`fast`) that start from common spatial patterns of the classes, for small signs in "
        "texture. With any, the stem sees the image through its filters alone.",
    )
    fold: int = Field(
        2,
        ge=1,
        le=8,
        description="Pixels a side that the stem (`fast`) folds into one; a pass costs up to a fourth at twice the fold.",
    )
    crop_snr: float = Field(
        0.0,
        ge=0.0,
        description="At noise levels where the cosine coefficients above a half or a quarter of the band have a mean "
        "signal-to-noise ratio (of power) of at most this, the network (`fast`) sees the image at a half or a quarter of the "
        "side, but not at less than 16 times `fold`. 0: always the whole image.",
    )

    @model_validator(mode="after")
    def _positive_widths(self) -> Self:
        if min(self.widths) < 1:
            raise ValueError("widths must be positive")
        return self
