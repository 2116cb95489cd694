"""One validated, frozen configuration: the settings of every layer.

Read from TOML; an unknown key, a wrong type or a value out of range is a :class:`ConfigError` that names the key, what
was found and what was expected.  Each section is handed only to the layer that it configures.
"""

import tomllib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bayescope.errors import ConfigError, RenamedWarning

Augmentation = Literal["auto", "none", "flip", "light", "strong"]
CalibrationKind = Literal["affine", "isotonic", "none"]
LevelWeightsKind = Literal["bound", "power", "fitted"]
NetKind = Literal["fast", "paper"]
Schedule = Literal["vp", "ve", "cosine"]
NoiseLevels = Literal["lognormal", "vp", "ve", "cosine"]
LossWeighting = Literal["edm", "epsilon"]
Decay = Literal["cosine", "step", "stable"]
Optimizer = Literal["adamw", "adam", "muon"]
Solver = Literal["adaptive", "heun", "rk4"]
Trace = Literal["exact", "rademacher", "gaussian"]


LARGEST_SEED = 2**32 - 1
"""Of scikit-learn's generators, by which splits are drawn."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    old_keys: ClassVar[Mapping[str, str]] = {}
    old_values: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    """By key; both are understood once more, with a warning that gives the new name."""

    @model_validator(mode="before")
    @classmethod
    def _understand_old_names(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        found = {}
        for key, value in values.items():
            name = cls.old_keys.get(key, key)
            if name != key and name in values:
                raise ValueError(f"{name} alone, which {key} is called now")
            new = cls.old_values.get(name, {}).get(value, value) if isinstance(value, str) else value
            if name != key or new != value:
                told, now = (key, name) if new == value else (f'{key} = "{value}"', f'{name} = "{new}"')
                warnings.warn(f"configuration: {told} is now called {now}; change it", RenamedWarning, stacklevel=2)
            found[name] = new
        return found


class NetConfig(_Section):
    """The raw network: channel widths from fine to coarse, residual blocks per width, dropout at the coarsest.

    ``kind``: the fast network, behind its preconditioning, or the paper's, which predicts the noise of a
    diffusion ``schedule``.
    ``csp_filters``: how many of the stem's filters start from common spatial patterns of the classes, for small signs in
    texture; if any do, the stem sees the image through its filters alone.
    ``fold``: the stem folds so many pixels a side into one, which makes a pass up to four times as cheap at twice the fold.
    """

    old_keys: ClassVar[Mapping[str, str]] = {"patterns": "csp_filters"}

    kind: NetKind = "fast"
    schedule: Schedule = "vp"
    widths: tuple[int, ...] = Field((32, 64, 96), min_length=1)
    blocks: int = Field(1, ge=1)
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    csp_filters: int = Field(0, ge=0, le=24)
    fold: int = Field(2, ge=1, le=8)

    @model_validator(mode="after")
    def _positive_widths(self) -> Self:
        if min(self.widths) < 1:
            raise ValueError("widths must be positive")
        return self

    @model_validator(mode="after")
    def _stem_for_csp_filters(self) -> Self:
        if self.csp_filters and self.kind != "fast":
            raise ValueError(f"patterns 0 with kind {self.kind!r}, whose network has no stem for them")
        return self


class TrainingConfig(_Section):
    """How the denoiser is trained.

    ``steps`` optimiser steps of ``batch_size`` images, drawn with equal class frequencies.  ``noise_mean`` and ``noise_std``
    give the density of log σ.  ``evidence_weight`` is the weight of the class cross-entropy beside the denoising loss; it sets
    in after the fraction ``evidence_from`` of the steps.

    ``noise_levels`` "vp", "ve" or "cosine" draws the time of that diffusion schedule uniformly.  ``loss`` "edm" weights a level
    by the denoiser's preconditioning, "epsilon" by 1/σ²: the squared error of the predicted noise.  ``decay`` of the learning
    rate is half a cosine over the run; "step": times ``decay_factor`` every ``decay_epochs`` times as many images as there
    are; or "stable": none until the last fifth of the steps, which go down to zero.

    ``optimizer`` "muon" updates the filters inside the network by Muon at ``muon_learning_rate``, and all else by AdamW at
    ``learning_rate``.

    ``evidence_noise_mean`` and ``evidence_noise_std`` give the evidence loss levels of its own, at the price of a pass more per
    image; left out, both losses share levels and noise.

    The first ``generative_steps`` of the steps teach p(x) alone, without classes, which then start from it; the others begin
    anew with warm-up and decay, and ``evidence_from`` is a fraction of these.  After such a start, or with unlabelled images,
    they also teach p(x), on half as many images of all there are, at ``generative_weight``.

    ``augmentation`` moves images; ``intensity`` stretches their contrast by up to that factor off 1, and shifts their
    brightness by up to half that share of the range.
    """

    steps: int = Field(3000, ge=1)
    batch_size: int = Field(64, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-3, ge=0)
    warmup_steps: int = Field(50, ge=1)
    ema_decay: float = Field(0.998, ge=0, lt=1)
    label_dropout: float = Field(0.1, ge=0, lt=1)
    optimizer: Optimizer = "adamw"
    muon_learning_rate: float = Field(0.02, gt=0)
    decay: Decay = "cosine"
    decay_factor: float = Field(0.2, gt=0, le=1)
    decay_epochs: int = Field(20, ge=1)
    loss: LossWeighting = "edm"
    noise_levels: NoiseLevels = "lognormal"
    noise_mean: float = -0.8
    noise_std: float = Field(1.4, gt=0)
    evidence_noise_mean: float | None = None
    evidence_noise_std: float | None = Field(None, gt=0)
    evidence_weight: float = Field(0.05, ge=0)
    evidence_from: float = Field(0.0, ge=0, le=1)
    generative_steps: int = Field(0, ge=0)
    generative_weight: float = Field(0.5, ge=0)
    augmentation: Augmentation = "auto"
    intensity: float = Field(0.0, ge=0, le=1)
    validate_every: int = Field(250, ge=1)

    @model_validator(mode="after")
    def _steps_for_classes(self) -> Self:
        if self.generative_steps >= self.steps:
            raise ValueError(f"generative_steps {self.generative_steps} below steps {self.steps}")
        return self

    @property
    def for_evidence(self) -> Self:
        """The same with the evidence loss's own levels as the levels, where it has any."""
        own = {"noise_mean": self.evidence_noise_mean, "noise_std": self.evidence_noise_std}
        given = {key: value for key, value in own.items() if value is not None}
        return self.model_copy(update=given | {"noise_levels": "lognormal"}) if given else self


class _Levels(_Section):
    """A range of noise levels."""

    sigma_min: float
    sigma_max: float

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.sigma_min >= self.sigma_max:
            raise ValueError(f"sigma_min {self.sigma_min} must be below sigma_max {self.sigma_max}")
        return self


class EvidenceConfig(_Levels):
    """How an image is scored: ``levels`` noise levels between ``sigma_min`` and ``sigma_max``, ``noises`` at each.

    Four noises or more are an even number and come in opposite pairs.

    Scoring stops when the winner is settled: at most ``disagreement_rate`` of the answers differ from the full evaluation's (0:
    always score in full), or after ``max_passes`` network passes per image.

    ``calibration`` of the likelihood ratios on validation images: one slope and an offset per class, or any rising map of each
    class's ratio, which needs more images and full scoring.  Images to come may differ from the validation images; so fitted
    weights and calibration also see a copy of each, changed as training changes its images, at ``calibration_augmentation``
    times the ranges (mirroring as it is; 0: no copies).

    Prediction sets miss the true class in at most ``miscoverage`` of the images of any class; answers given without abstaining
    are wrong in at most ``risk`` of the images.  Both speak of images like the validation images, scored in full.
    """

    old_keys: ClassVar[Mapping[str, str]] = {
        "error_rate": "disagreement_rate",
        "imitated_shift": "calibration_augmentation",
    }
    old_values: ClassVar[Mapping[str, Mapping[str, str]]] = {"calibration": {"monotone": "isotonic"}}

    levels: int = Field(10, ge=1)
    noises: int = Field(4, ge=1)
    sigma_min: float = Field(0.05, gt=0)
    sigma_max: float = Field(5.0, gt=0)
    level_weights: LevelWeightsKind = "fitted"
    power: float = 0.5
    calibration: CalibrationKind = "affine"
    calibration_augmentation: float = Field(1.0, ge=0, le=5)
    disagreement_rate: float = Field(0.04, ge=0, lt=1)
    max_passes: int | None = Field(None, ge=2)
    miscoverage: float = Field(0.1, gt=0, lt=1)
    risk: float = Field(0.05, gt=0, lt=1)

    @field_validator("noises")
    @classmethod
    def _in_pairs(cls, noises: int) -> int:
        if noises > 3 and noises % 2:
            raise ValueError("1, 2, 3 or an even number of noises, which come in opposite pairs")
        return noises


class FlowConfig(_Levels):
    """How log p(x|y) is integrated along the probability flow, from ``sigma_min`` to ``sigma_max``.

    ``solver``: "adaptive" with a ``tolerance`` relative to a pixel's size and in nats per pixel, or "heun" or "rk4" on
    ``steps`` even in log σ.  ``trace``: "exact" (a pass per pixel), or Hutchinson's with ``probes`` "rademacher" or
    "gaussian" probes.
    """

    solver: Solver = "adaptive"
    tolerance: float = Field(1e-4, gt=0, lt=1)
    steps: int = Field(64, ge=1)
    trace: Trace = "rademacher"
    probes: int = Field(4, ge=1)
    sigma_min: float = Field(0.01, gt=0)
    sigma_max: float = Field(80.0, gt=0)


class Config(_Section):
    """Everything that decides a run, besides its data."""

    seed: int = Field(0, ge=0, le=LARGEST_SEED)
    size: int | None = Field(None, ge=4)
    device: str = "auto"
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    net: NetConfig = NetConfig()
    training: TrainingConfig = TrainingConfig()
    evidence: EvidenceConfig = EvidenceConfig()
    flow: FlowConfig = FlowConfig()


def parse_config(values: dict[str, Any]) -> Config:
    """Validate a nested dictionary.  Raises ConfigError naming each bad key."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(item) for item in error.errors())) from None


def read_config(path: Path) -> Config:
    """Read a TOML file.  Raises ConfigError if it cannot be read, parsed or validated."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); expected a TOML configuration file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML ({error}); mend the file and run again") from None
    try:
        return parse_config(values)
    except ConfigError as error:
        raise ConfigError(f"{path}:\n{error}") from None


def dump_toml(config: Config) -> str:
    """The configuration as TOML text that :func:`read_config` reads back to an equal value."""
    return tomli_w.dumps(config.model_dump(exclude_none=True))


def _explain(item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"]) or "configuration"
    if item["type"] == "extra_forbidden":
        return f"{key}: unknown key; expected one of the keys of the documented configuration. Remove or correct it"
    message = item["msg"].removeprefix("Value error, ")
    return f"{key}: found {item['input']!r}; expected: {message}"
