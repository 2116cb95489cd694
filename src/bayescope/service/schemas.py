"""What the service answers, as the OpenAPI description has it."""

from typing import Any, Literal

from pydantic import BaseModel, Field


class Problem(BaseModel):
    """Why a request was refused: what was found, what was expected and what to do."""

    error: str


class ImageRecord(BaseModel):
    """The prediction of one image, as ``bayescope classify --json`` prints it; numbers of classes by their names."""

    image: str = Field(description="Name of the file as sent; NAME#2 for the second of several frames.")
    class_: str = Field(alias="class", description="The most probable class.")
    prevalence: dict[str, float] = Field(description="Probability of each class before the image.")
    posterior: dict[str, float] = Field(description="Probability of each class after it.")
    posterior_error: dict[str, float | None] = Field(description="Its standard error.")
    log_likelihood_ratio: dict[str, float] = Field(description="Of each class against the rest, nats.")
    standard_error: dict[str, float | None] = Field(description="Monte Carlo standard error of the ratio, nats.")
    raw_log_likelihood_ratio: dict[str, float] = Field(description="The ratio before calibration, nats.")
    calibrated: bool
    calibration_images: dict[str, int] = Field(description="Held-out images that the calibration rests on.")
    prediction_set: list[str] | None = Field(description="Classes that are not excluded; null if not fitted.")
    abstained: bool | None = Field(description="Whether the image is too uncertain to answer; null if not fitted.")
    novelty_p_value: float | None = Field(description="Probability of as odd an image among ones like the training images.")
    warnings: list[str]
    seen: Literal["train", "val"] | None = Field(description="The split of the training data that the image was in.")
    passes: int = Field(description="Network passes spent.")


class UnreadableRecord(BaseModel):
    """A file that could not be read, and why."""

    image: str
    error: str


class Classification(BaseModel):
    """Records of the images that could be read, in the order sent, then those of the others."""

    model: str = Field(description="Fingerprint of the model: SHA-256 of weights and configuration.")
    records: list[ImageRecord | UnreadableRecord]


class Array(BaseModel):
    """Numbers in C order, little-endian."""

    dtype: Literal["uint8", "uint16", "float32", "float64"]
    shape: list[int]
    base64: str


class CounterfactualImage(BaseModel):
    """The image noised to ``sigma`` and denoised under either class; gray levels of 8 bits."""

    sigma: float
    other: str = Field(description="The other class.")
    image: Array = Field(description="As the other class, (height, width) or (height, width, 3).")
    reconstruction: Array = Field(description="As the class called.")
    change: Array = Field(description="The difference, (height, width), model units: the image spans 2.")


class ExplanationRecord(BaseModel):
    """Where the evidence of an image lies: ``evidence`` adds up to ``log_likelihood_ratio``."""

    model: str
    record: ImageRecord = Field(description="The prediction, the image scored in full.")
    winner: str
    against: str | None = Field(description="The class compared with; null for all others together.")
    log_likelihood_ratio: float = Field(description="What the map adds up to, nats.")
    is_raw: bool = Field(description="Whether that ratio is uncalibrated.")
    title: str
    image: Array = Field(description="The image as the model takes it, stored pixels (channel, height, width).")
    detail: Array | None = Field(
        description="The same in more detail (channel, k height, k width); null if not asked for, or the file has no more."
    )
    low: float = Field(description="Stored value shown black by default.")
    high: float = Field(description="Stored value shown white by default.")
    evidence: Array = Field(description="Share of each pixel, nats (height, width).")
    levels: Array = Field(description="Share of each noise level and pixel, nats (levels, height, width), fine before coarse.")
    sigmas: list[float] = Field(description="The noise levels.")
    constant: float = Field(description="What belongs to no pixel, nats; spread evenly in ``evidence``.")
    counterfactual: CounterfactualImage | None


class ModelCard(BaseModel):
    """The model: what it was trained on, how well it does, how its ratios are calibrated, and its limits."""

    fingerprint: str
    version: str = Field(description="Of Bayescope.")
    class_names: list[str]
    class_prior: dict[str, float] = Field(description="Prevalence unless a request gives another.")
    image_shape: list[int] = Field(description="(channel, height, width)")
    pixel_type: str
    reads_dicom: bool
    can_resize: bool = Field(description="Whether images of another size may be brought to the model's.")
    data: dict[str, Any] = Field(description="Source, fingerprint, notes and number of images of the training data.")
    training: dict[str, Any] = Field(description="Settings of training.")
    measures: dict[str, Any] = Field(description="As measured on images the model had not seen; empty if not recorded.")
    validation: dict[str, Any] = Field(description="The last validation of the training.")
    scoring: dict[str, Any] = Field(description="Noise levels and stopping.")
    calibration: dict[str, Any]
    poolings: list[dict[str, Any]] = Field(description="How evidence of several images of a patient is added up, as learned.")
    decisions: dict[str, Any] | None = Field(description="What prediction sets and abstention promise; null if not fitted.")
    novelty: dict[str, Any] | None = Field(description="The test for unfamiliar images; null if not fitted.")
    limits: list[str]
    service: dict[str, Any] = Field(description="Limits of requests.")
    drift: dict[str, Any] = Field(description="Comparison of the last images with the validation images.")


class State(BaseModel):
    """Whether the service works."""

    status: Literal["ok", "starting", "stopped"]
