"""Settings of a DICOM node, read from ``node.toml``."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from bayescope.config.section import Section
from bayescope.config.toml_file import read_section
from bayescope.node.peers import Destination, ListenConfig, PollConfig, Port


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"a regular expression ({error})") from None
    return text


Pattern = Annotated[str, AfterValidator(_pattern)]


class Route(Section):
    """A rule: the images that meet all of its conditions, and the runs that read them.  The first rule that fits applies."""

    modality: tuple[str, ...] = Field((), description="One of these, such as `MG`.")
    body_part: tuple[str, ...] = Field((), description="One of these Body Parts Examined, such as `BREAST`.")
    view: tuple[str, ...] = Field((), description="One of these views, such as `CC` or `MLO`.")
    sop_class: tuple[str, ...] = Field((), description="One of these SOP classes, by UID.")
    description: Pattern | None = Field(
        None, description="Regular expression found, whatever the case, in the description of the study or of the series."
    )
    runs: tuple[Path, ...] | None = Field(
        None, description="Run folders that read the image; left out: the run of the command line; empty: it is skipped."
    )


class DeliveryConfig(Section):
    """Repetition of what could not be sent."""

    first_wait_s: float = Field(10.0, gt=0, description="Seconds before the second attempt; doubled each time.")
    longest_wait_s: float = Field(3600.0, gt=0, description="Longest time between attempts.")
    give_up_days: float = Field(7.0, gt=0, description="Days after which a result becomes a dead letter.")
    batch: int = Field(32, ge=1, description="Most results sent over one association.")


class ReadingConfig(Section):
    """Classification of the images."""

    device: str = Field("auto", description="`auto` (a GPU if there is one), `cpu` or `cuda`.")
    batch: int = Field(16, ge=1, description="Most images scored at once.")
    prevalence: dict[str, float] | None = Field(
        None, description="Probability of each class by name, at which the runs' answers are given; left out: each model's own."
    )
    evidence_maps: bool = Field(
        True, description="Also send the evidence map, as picture and segmentation; each image is scored in full for it."
    )
    attempts: int = Field(5, ge=1, description="An image during whose reading the node is killed so often has failed.")


class CombineConfig(Section):
    """One report for the images that belong together, by runs that learned how evidence adds up."""

    by: Literal["study", "breast", "patient", "none"] = Field(
        "study", description="Which images of a study are combined; `none`: only reports of single images are made."
    )
    any_of: str | None = Field(
        None, description="The class that a study, breast or patient is of if any image is; left out: all are of one class."
    )
    quiet_s: float = Field(
        60.0, ge=0, description="Seconds without a new image after which a study is complete; with `[poll]`, `every_s` more."
    )


class MetricsConfig(Section):
    """Prometheus metrics over HTTP."""

    address: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(9464, description="Port to listen on.")


class DriftConfig(Section):
    """Comparison of the last images with the validation images."""

    window: int = Field(200, ge=20, description="Number of images that are compared, of each study the first.")
    alpha: float = Field(0.05, gt=0, lt=1, description="Chance of any false alarm, however long the node runs.")


class RetentionConfig(Section):
    """How long the node keeps what it is done with."""

    days: float = Field(30.0, ge=0, description="Days after which images and results are deleted, once nothing waits for them.")


class NodeConfig(Section):
    """Everything that a node does, besides the run that reads the images."""

    folder: Path = Field(description="Where images, results, queue and logs are kept.")
    keep_free_mb: int = Field(500, ge=0, description="Images are refused when less than this is free in `folder`.")
    listen: ListenConfig | None = Field(None, description="Reception by C-STORE; left out: none.")
    poll: PollConfig | None = Field(None, description="Fetching by DICOMweb; left out: none.")
    routes: tuple[Route, ...] = Field(
        (Route(),),
        description="Which images are read by which run; one that no rule fits is skipped. Left out: the run reads all.",
    )
    destinations: tuple[Destination, ...] = Field(min_length=1, description="Where results are sent, each to all.")
    delivery: DeliveryConfig = Field(DeliveryConfig(), description="Repetition of what could not be sent.")
    reading: ReadingConfig = Field(ReadingConfig(), description="Classification.")
    combine: CombineConfig = Field(CombineConfig(), description="Images that belong together.")
    metrics: MetricsConfig | None = Field(None, description="Metrics; left out: none.")
    drift: DriftConfig = Field(DriftConfig(), description="Drift.")
    retention: RetentionConfig = Field(RetentionConfig(), description="How long everything is kept.")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.listen is None and self.poll is None:
            raise ValueError("[listen], [poll] or both, or no image ever comes")
        names = [destination.name for destination in self.destinations]
        if len(set(names)) < len(names):
            raise ValueError("destinations of different names")
        return self

    @property
    def ae_title(self) -> str:
        """AE title of the node, under which it also calls."""
        return self.listen.ae_title if self.listen else ListenConfig.model_fields["ae_title"].default

    @property
    def quiet_s(self) -> float:
        """Seconds without a new image after which a study is complete: so many after a search could have found one."""
        return self.combine.quiet_s + (self.poll.every_s if self.poll else 0.0)

    def runs(self, default: Path) -> tuple[Path, ...]:
        """The run folders that the routes name, ``default`` where they name none; each once."""
        named = (route.runs if route.runs is not None else (default,) for route in self.routes)
        return tuple(dict.fromkeys(run for runs in named for run in runs))


def read_node_config(path: Path) -> NodeConfig:
    """Read the settings of a node.

    Parameters
    ----------
    path : Path
        TOML file.

    Returns
    -------
    NodeConfig
        The settings.

    Raises
    ------
    ConfigError
        If the file cannot be read, or a key is unknown, missing or out of range.
    """
    return read_section(NodeConfig, path)
