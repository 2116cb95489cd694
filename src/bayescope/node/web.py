"""Connections to DICOMweb servers."""

import requests
from dicomweb_client.api import DICOMwebClient

from bayescope.errors import ConfigError, reading
from bayescope.node.journal import describe
from bayescope.node.peers import WebServer


def web_client(server: WebServer) -> DICOMwebClient:
    """A client that gives up after the time set for the server, and does not try again by itself.

    Raises ConfigError if the file of the token cannot be read.
    """
    session = requests.Session()
    if server.authorities is not None:
        session.verify = str(server.authorities)
    headers = {}
    if server.token_file is not None:
        with reading(server.token_file, ConfigError):
            headers["Authorization"] = f"Bearer {server.token_file.read_text(encoding='utf-8').strip()}"
    client = DICOMwebClient(server.url.rstrip("/"), session=session, headers=headers, timeout=server.timeout_s)
    client.set_http_retry_params(retry=False)
    return client


def describe_answer(error: Exception) -> str:
    """The HTTP status that a server answered with, or what happened instead."""
    response = getattr(error, "response", None)
    return describe(error) if response is None else f"HTTP {response.status_code}"
