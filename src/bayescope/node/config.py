"""Settings of a DICOM node, read from ``node.toml``."""

import re
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator, model_validator

from bayescope.config.section import Section
from bayescope.config.toml_file import read_section

_AE_TITLE = re.compile(r"[ -\[\]-~]{1,16}")


def _ae_title(text: str) -> str:
    if not _AE_TITLE.fullmatch(text) or text != text.strip():
        raise ValueError("1 to 16 printable ASCII characters without a backslash or blanks at the ends")
    return text


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"a regular expression ({error})") from None
    return text


Port = Annotated[int, Field(ge=1, le=65535)]
AETitle = Annotated[str, AfterValidator(_ae_title)]
Pattern = Annotated[str, AfterValidator(_pattern)]


class ServerTLS(Section):
    """Encrypted connections to the node."""

    certificate: Path = Field(description="PEM file of the node's certificate.")
    key: Path = Field(description="PEM file of its private key.")
    authorities: Path | None = Field(
        None, description="PEM file of the authorities of the callers' certificates; left out: callers need to show none."
    )


class ClientTLS(Section):
    """Encrypted connections from the node."""

    certificate: Path | None = Field(None, description="PEM file of the node's certificate; left out: it shows none.")
    key: Path | None = Field(None, description="PEM file of its private key.")
    authorities: Path | None = Field(
        None, description="PEM file of the authorities of the other side's certificate; left out: those of the system."
    )


class Caller(Section):
    """An application entity that may call the node."""

    ae_title: AETitle = Field(description="Its AE title.")
    addresses: tuple[str, ...] = Field((), description="Addresses or networks it may call from; empty: any.")
    commitment_port: Port | None = Field(
        None, description="Port on which it is told the outcome of Storage Commitment; left out: requests are refused."
    )
    commitment_tls: ClientTLS | None = Field(None, description="Certificates for this; left out: it is not encrypted.")

    @field_validator("addresses")
    @classmethod
    def _networks(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for address in addresses:
            ip_network(address)
        return addresses

    def may_call_from(self, address: str) -> bool:
        """Whether ``address`` is one of its own."""
        return not self.addresses or any(ip_address(address) in ip_network(network) for network in self.addresses)


class ListenConfig(Section):
    """Reception of images by C-STORE."""

    ae_title: AETitle = Field("BAYESCOPE", description="AE title of the node; a call under another is refused.")
    address: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0: all.")
    port: Port = Field(11112, description="Port to listen on.")
    callers: tuple[Caller, ...] = Field(min_length=1, description="Who may call; anybody else is refused.")
    max_associations: int = Field(16, ge=1, description="Most associations at a time.")
    max_object_mb: int = Field(256, ge=1, description="Largest object, MB; the association of a larger one is aborted.")
    timeout_s: float = Field(60.0, gt=0, description="Seconds of silence after which an association is aborted.")
    tls: ServerTLS | None = Field(None, description="Certificates; left out: connections are not encrypted.")


class WebServer(Section):
    """A DICOMweb server."""

    url: str = Field(pattern=r"https?://.+", description="Its root, to which `/studies` is appended.")
    timeout_s: float = Field(20.0, gt=0, description="Seconds to wait for an answer.")
    token_file: Path | None = Field(None, description="File of a bearer token to authenticate with.")
    authorities: Path | None = Field(None, description="PEM file of its authorities; left out: the system's.")


class PollConfig(WebServer):
    """Images fetched from a DICOMweb server."""

    every_s: float = Field(60.0, gt=0, description="Seconds between searches for new studies.")
    filters: dict[str, str] = Field(
        {}, description='What studies must match: attributes of a QIDO-RS search, e.g. `{ModalitiesInStudy = "MG"}`.'
    )
    days: int | None = Field(None, ge=0, description="Studies of the last so many days only; left out: of any date.")
    modalities: tuple[str, ...] = Field((), description="Series of these modalities only; empty: all that hold images.")


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


class StoreDestination(Section):
    """Where results are sent by C-STORE."""

    name: str = Field(min_length=1, description="Name of the destination in the queue and the logs.")
    ae_title: AETitle = Field(description="Its AE title.")
    address: str = Field(description="Its address.")
    port: Port = Field(description="Its port.")
    timeout_s: float = Field(20.0, gt=0, description="Seconds to wait for an answer.")
    tls: ClientTLS | None = Field(None, description="Certificates; left out: the connection is not encrypted.")


class WebDestination(WebServer):
    """Where results are sent by STOW-RS."""

    name: str = Field(min_length=1, description="Name of the destination in the queue and the logs.")


def _kind_of_destination(value: Any) -> str:
    is_web = "url" in value if isinstance(value, Mapping) else isinstance(value, WebDestination)
    return "by STOW-RS" if is_web else "by C-STORE"


Destination = Annotated[
    Annotated[StoreDestination, Tag("by C-STORE")] | Annotated[WebDestination, Tag("by STOW-RS")],
    Discriminator(_kind_of_destination),
]


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
