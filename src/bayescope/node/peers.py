"""Settings of a DICOM node about the others: who may call it, where it fetches images, and where results go."""

import re
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator

from bayescope.config.section import Section

_AE_TITLE = re.compile(r"[ -\[\]-~]{1,16}")


def _ae_title(text: str) -> str:
    if not _AE_TITLE.fullmatch(text) or text != text.strip():
        raise ValueError("1 to 16 printable ASCII characters without a backslash or blanks at the ends")
    return text


Port = Annotated[int, Field(ge=1, le=65535)]
AETitle = Annotated[str, AfterValidator(_ae_title)]


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
