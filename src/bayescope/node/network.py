"""What all DICOM associations of a node share: TLS, packets without delay, the classes and encodings of images."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom import uid
from pynetdicom import AE, AllStoragePresentationContexts, evt

from bayescope.errors import ConfigError, RunError
from bayescope.node.peers import ClientTLS, ServerTLS

IMAGE_CLASSES = tuple(
    sorted(
        str(context.abstract_syntax)
        for context in AllStoragePresentationContexts
        if "Image Storage" in (name := uid.UID(context.abstract_syntax or "").name) and "Video" not in name
    )
)
"""UIDs of the SOP classes of images."""

TRANSFER_SYNTAXES = (
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.RLELossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLossless,
    uid.JPEGLSLossless,
    uid.JPEGLSNearLossless,
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.HTJ2K,
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
)
"""UIDs of the encodings of still images."""


def application_entity(ae_title: str, timeout_s: float) -> AE:
    """An application entity that waits so many seconds for every answer."""
    entity = AE(ae_title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = timeout_s
    return entity


@contextmanager
def listening(address: str, port: int) -> Iterator[None]:
    """Raise RunError if an address cannot be listened on."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{address}:{port}: cannot be listened on ({error.strerror or error}); expected an address of this machine and a "
            "free port. Give others, or end the program that uses them"
        ) from None


def without_delay(event: evt.Event) -> None:
    """Send packets at once, when a connection is opened: waiting to fill them makes small messages three times slower."""
    connection = event.assoc.dul.socket
    if connection is not None and connection.socket is not None:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def server_context(tls: ServerTLS) -> ssl.SSLContext:
    """For calls to the node.  Raises ConfigError if a file is missing or unusable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, tls.certificate, tls.key, tls.authorities)
    if tls.authorities is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def tls_arguments(tls: ClientTLS | None, address: str) -> dict[str, Any]:
    """For calls by the node, as ``AE.associate`` takes them.  Raises ConfigError as :func:`server_context`."""
    if tls is None:
        return {}
    context = ssl.create_default_context()
    _load(context, tls.certificate, tls.key, tls.authorities)
    return {"tls_args": (context, address)}


def _load(context: ssl.SSLContext, certificate: Path | None, key: Path | None, authorities: Path | None) -> None:
    try:
        if certificate is not None:
            context.load_cert_chain(certificate, key)
        if authorities is not None:
            context.load_verify_locations(authorities)
    except OSError as error:
        raise ConfigError(
            f"tls: {certificate}, {key}, {authorities} cannot be used ({error.strerror or error}); expected PEM "
            "files. Correct them"
        ) from None
