"""``bayescope serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayescope.cli.options import Device
from bayescope.cli.output import complain, say

NAME = "serve"
_MIB = 2**20


def command(
    run: Annotated[Path, typer.Argument(help="Run folder of `bayescope train`.")],
    host: Annotated[
        str, typer.Option(help="Address to listen at; another than this machine's own needs --token-file.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at.")] = 8000,
    token_file: Annotated[
        Path | None, typer.Option(help="File with a token that requests must carry: Authorization: Bearer TOKEN.")
    ] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM file; serve by HTTPS.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of its private key.")] = None,
    max_upload: Annotated[int, typer.Option(min=1, help="Largest request, MiB.")] = 256,
    max_pixels: Annotated[int, typer.Option(min=1, help="Most pixels of an image, all its frames together.")] = 2**26,
    max_waiting: Annotated[
        int, typer.Option(min=1, help="Most images that wait to be scored; beyond, requests are answered with 503.")
    ] = 256,
    keep: Annotated[Path | None, typer.Option(help="Keep uploads in this folder (default: nothing is kept).")] = None,
    dicomweb: Annotated[
        str | None, typer.Option(help="URL of a DICOMweb server; requests may then name an instance instead of sending it.")
    ] = None,
    device: Device = "auto",
) -> None:
    """Serve a page to read predictions with, and an HTTP interface. For research; not a medical device.

    Open the address that is printed; /openapi.json describes the interface.

    Example: bayescope serve runs/breast --port 8000
    """
    from bayescope.service.serve import serve
    from bayescope.service.settings import ServiceSettings, check_address, read_token

    token = None if token_file is None else read_token(token_file)
    check_address(host, token)
    settings = ServiceSettings(
        token=token,
        max_upload=max_upload * _MIB,
        max_pixels=max_pixels,
        max_waiting=max_waiting,
        keep=keep,
        dicomweb=dicomweb,
        scoring_process=True,
    )

    def started(url: str) -> None:
        say(url)
        complain("For research; not a medical device. Ctrl-C stops the service.", "dim")

    serve(run, settings, host, port, tls_certificate, tls_key, device, started)
