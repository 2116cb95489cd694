"""One validated, frozen configuration: the settings of every layer.

Read from TOML; an unknown key, a wrong type or a value out of range is a :class:`ConfigError` that names the key, what
was found and what was expected.  Each section is handed only to the layer that it configures.  A setting that names a class or
a function is text here; the dictionary of what it may name stands next to these classes, see :mod:`bayescope.fitting.words`.
"""

from pathlib import Path
from typing import Any, Literal, Self

import tomli_w
from pydantic import Field

from bayescope.config.dicom import DicomCode, DicomConfig
from bayescope.config.evidence import EvidenceConfig
from bayescope.config.flow import FlowConfig
from bayescope.config.net import NetConfig
from bayescope.config.section import Section
from bayescope.config.toml_file import parse_section, read_section
from bayescope.config.training import TrainingConfig
from bayescope.types import LARGEST_SEED

__all__ = [
    "Config",
    "DicomCode",
    "DicomConfig",
    "EvidenceConfig",
    "FlowConfig",
    "NetConfig",
    "TrainingConfig",
    "dump_toml",
    "parse_config",
    "read_config",
]


class Config(Section):
    """Everything that determines a run, except its data."""

    seed: int = Field(0, ge=0, le=LARGEST_SEED, description="Seed of split, weights and noise.")
    size: int | None = Field(
        None, ge=4, description="Side in pixels to which the images of a folder or table are brought; left out: as they are."
    )
    device: str = Field("auto", description="`auto` (a GPU if there is one), `cpu` or `cuda`.")
    devices: int = Field(1, ge=1, description="Devices of each node that train together, each in a process of its own.")
    nodes: int = Field(1, ge=1, description="Machines that train together, started by `torchrun` or SLURM.")
    strategy: Literal["auto", "ddp"] = Field(
        "auto", description="How processes train together. `auto`: `ddp` where there are several; `ddp`: the same for one."
    )
    precision: Literal["32-true", "bf16-mixed"] = Field("32-true", description="Floating-point precision of training.")
    net: NetConfig = Field(NetConfig(), description="The network.")
    training: TrainingConfig = Field(TrainingConfig(), description="Training.")
    evidence: EvidenceConfig = Field(EvidenceConfig(), description="Scoring by denoising evidence.")
    flow: FlowConfig = Field(FlowConfig(), description="Likelihood by the probability flow.")
    dicom: DicomConfig = Field(DicomConfig(), description="Predictions as DICOM objects.")

    @property
    def on_one_device(self) -> Self:
        """The same without other processes."""
        return self.model_copy(update={"devices": 1, "nodes": 1, "strategy": "auto"})


def parse_config(values: dict[str, Any]) -> Config:
    """Validate a nested dictionary.  Raises ConfigError naming each bad key."""
    return parse_section(Config, values)


def read_config(path: Path) -> Config:
    """Read a TOML file.  Raises ConfigError if it cannot be read, parsed or validated."""
    return read_section(Config, path)


def dump_toml(config: Config) -> str:
    """The configuration as TOML text that :func:`read_config` reads back to an equal value."""
    return tomli_w.dumps(config.model_dump(exclude_none=True))
