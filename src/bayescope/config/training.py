"""Settings of training."""

from typing import Self

from pydantic import Field, model_validator

from bayescope.config.section import Section


class TrainingConfig(Section):
    """How the denoiser is trained."""

    steps: int = Field(3000, ge=1, description="Optimiser steps, those of `generative_steps` included.")
    batch_size: int = Field(64, ge=1, description="Images in a step, drawn with equal class frequencies.")
    accumulate: int = Field(
        1,
        ge=1,
        description="Parts in which each process handles its images of a step, one after the other, to save memory; the "
        "result is that of the whole.",
    )
    compile: bool = Field(False, description="Whether the network is compiled for training: slow to start, then faster.")
    shard_images: int | None = Field(
        None,
        ge=0,
        description="Images read from one stretch of a prepared cache, in an order that mixes 64 such stretches of each class; "
        "0: each image from anywhere. Left out: 0, and 64 where the training images take more than 8 GiB.",
    )
    learning_rate: float = Field(1e-3, gt=0, description="Learning rate after warm-up, before decay.")
    weight_decay: float = Field(1e-3, ge=0, description="Weight decay of the network's parameters.")
    warmup_steps: int = Field(50, ge=1, description="Steps over which the learning rate rises from zero.")
    ema_decay: float = Field(0.998, ge=0, lt=1, description="Decay of the exponential moving average of the weights.")
    label_dropout: float = Field(0.1, ge=0, lt=1, description="Share of the images that also train without their class.")
    optimizer: str = Field(
        "adamw",
        description="`muon`: Muon for the filters inside the network, AdamW for all other parameters.",
    )
    muon_learning_rate: float = Field(
        0.02,
        gt=0,
        description="Learning rate of `muon` for the filters inside the network. Lower, say 0.006, "
        "where the evidence loss hardly falls.",
    )
    decay: str = Field(
        "cosine",
        description="Decay of the learning rate. `cosine`: half a cosine over the run; `step`: times `decay_factor` every "
        "`decay_epochs`; `stable`: constant, then down to zero in the last fifth of the steps.",
    )
    decay_factor: float = Field(0.2, gt=0, le=1, description="Factor of each step of `decay` = `step`.")
    decay_epochs: int = Field(
        20, ge=1, description="Epochs between the steps of `decay` = `step`; an epoch draws as many images as there are."
    )
    loss: str = Field(
        "edm",
        description="Weight of each noise level in the denoising loss. `edm`: that of the preconditioning; `epsilon`: 1/σ², "
        "the squared error of the predicted noise.",
    )
    noise_levels: str = Field(
        "lognormal",
        description="Density of the noise levels. `lognormal`: log σ is normal; the name of a diffusion schedule: its time is "
        "uniform.",
    )
    noise_mean: float = Field(-0.8, description="Mean of log σ with `lognormal` noise levels.")
    noise_std: float = Field(1.4, gt=0, description="Standard deviation of log σ with `lognormal` noise levels.")
    evidence_noise_mean: float | None = Field(
        None,
        description="Mean of log σ for the evidence loss. With this or `evidence_noise_std` the evidence loss draws noise of "
        "its own, at the cost of a network pass more per image; left out, both losses share levels and noise.",
    )
    evidence_noise_std: float | None = Field(None, gt=0, description="Standard deviation of log σ for the evidence loss.")
    evidence_weight: float = Field(
        0.05, ge=0, description="Weight of the evidence loss, a class cross-entropy, relative to the denoising loss."
    )
    evidence_from: float = Field(
        0.0, ge=0, le=1, description="Fraction of the steps with classes after which the evidence loss is added."
    )
    generative_steps: int = Field(
        0,
        ge=0,
        description="First steps, which teach p(x) without classes; every class then starts from it, with warm-up and decay of "
        "its own.",
    )
    generative_weight: float = Field(
        0.5,
        ge=0,
        description="Weight of p(x) in the steps with classes, after `generative_steps` or with unlabelled images; taught on "
        "half as many images, drawn from all.",
    )
    augmentation: str = Field(
        "auto",
        description="Random changes of training images. `flip`: mirrored left to right; `light`, `strong`: moved, turned and "
        "scaled, `strong` also mirrored; `auto`: `strong` below 1,500 training images, `light` below 20,000, then `none`.",
    )
    intensity: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Augmentation of intensities: contrast by up to this factor off 1, brightness by up to half this share of "
        "the range.",
    )
    validate_every: int = Field(250, ge=1, description="Steps between measurements of the losses on validation images.")

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
