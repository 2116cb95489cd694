"""Runs the service by uvicorn."""

import socket
import sys
from collections.abc import Callable
from pathlib import Path

import uvicorn

from bayescope.errors import ConfigError, RunError
from bayescope.service.api import create_app
from bayescope.service.settings import ServiceSettings, check_address

_BACKLOG = 1024
_SECONDS_TO_FINISH = 10
_SWITCH_SECONDS = 0.0005
"""After which a thread that answers requests lets the one that scores go on; Python's default is ten times as long."""


def serve(
    run: Path,
    settings: ServiceSettings,
    host: str = "127.0.0.1",
    port: int = 8000,
    tls_certificate: Path | None = None,
    tls_key: Path | None = None,
    device: str = "auto",
    started: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve a run folder until interrupted.

    Parameters
    ----------
    run : Path
        Folder written by ``bayescope train``.
    settings : ServiceSettings
        Access and limits.
    host : str, default "127.0.0.1"
        Address to listen at.
    port : int, default 8000
        Port; 0 takes a free one.
    tls_certificate, tls_key : Path, optional
        PEM files to serve by HTTPS.
    device : str, default "auto"
        Where to score images.
    started : callable, optional
        Called with the URL once the address is taken.

    Raises
    ------
    ConfigError
        If others could reach the service and it has no token, or of the two PEM files one is missing or unusable.
    RunError
        If the folder holds no model, or the address cannot be taken.
    """
    check_address(host, settings.token)
    if (tls_certificate is None) != (tls_key is None):
        raise ConfigError("one of --tls-certificate and --tls-key; expected both or none. Give the other too")
    app = create_app(run, settings, device)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        ssl_certfile=tls_certificate,
        ssl_keyfile=tls_key,
        timeout_graceful_shutdown=_SECONDS_TO_FINISH,
    )
    try:
        config.load()
    except OSError as error:
        raise ConfigError(
            f"{tls_certificate}, {tls_key}: cannot be used ({error.strerror or error}); expected a certificate and its private "
            "key, PEM. Check the files"
        ) from None
    with _listening(host, port) as listener:
        name = f"[{host}]" if ":" in host else host
        started(f"{'https' if tls_certificate else 'http'}://{name}:{listener.getsockname()[1]}/")
        sys.setswitchinterval(_SWITCH_SECONDS)
        uvicorn.Server(config).run([listener])


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=_BACKLOG)
    except OSError as error:
        raise RunError(
            f"--host {host} --port {port}: cannot be listened at ({error.strerror or error}); expected a free address of this "
            "machine. Give another --port"
        ) from None
