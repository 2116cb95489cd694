"""Settings of the service: address, access and limits."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from bayescope.errors import ConfigError, RunError, reading

_SHORTEST_TOKEN = 16


@dataclass(frozen=True)
class ServiceSettings:
    """What a service accepts, and how it works.

    Parameters
    ----------
    token : str, optional
        What a request must carry as ``Authorization: Bearer TOKEN`` (default: none is needed).
    max_upload : int, default 256 MiB
        Largest request body, bytes.
    max_pixels : int, default 2**26
        Most pixels of an image, all its frames together.
    max_images : int, default 64
        Most images of a request, frames counted singly.
    max_waiting : int, default 256
        Most images that wait to be scored; beyond, requests are answered with 503.
    batch_wait : float, default 0.004
        Seconds that an image waits for others to be scored with it.
    keep : Path, optional
        Folder in which uploads and their answers are kept (default: nothing is).
    dicomweb : str, optional
        URL of the DICOMweb server that references are resolved at.
    scoring_process : bool, default False
        Whether images are scored in a process of its own, as ``bayescope serve`` does.
    drift_window : int, default 200
        Number of images that are compared with the validation images.
    drift_alpha : float, default 0.05
        Chance of any false alarm.
    """

    token: str | None = None
    max_upload: int = 2**28
    max_pixels: int = 2**26
    max_images: int = 64
    max_waiting: int = 256
    batch_wait: float = 0.004
    keep: Path | None = None
    dicomweb: str | None = None
    scoring_process: bool = False
    drift_window: int = 200
    drift_alpha: float = 0.05


def read_token(path: Path) -> str:
    """The token in a file.

    Parameters
    ----------
    path : Path
        Text file with the token alone; blanks at its ends are dropped.

    Returns
    -------
    str
        The token.

    Raises
    ------
    RunError
        If the file cannot be read.
    ConfigError
        If it holds fewer than 16 characters, or others than printable ASCII ones.
    """
    with reading(path, RunError):
        token = path.read_text(encoding="utf-8", errors="replace").strip()
    if len(token) < _SHORTEST_TOKEN or not (token.isascii() and token.isprintable()) or " " in token:
        raise ConfigError(
            f"{path}: {len(token)} characters; expected a token of at least {_SHORTEST_TOKEN} letters, digits and signs. Make "
            "one, for example with `openssl rand -hex 32`"
        )
    return token


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone.

    Parameters
    ----------
    host : str
        A name or an address.

    Returns
    -------
    bool
        True for ``localhost`` and loopback addresses.
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_address(host: str, token: str | None) -> None:
    """Check that a service which others can reach asks for a token.

    Parameters
    ----------
    host : str
        Address to listen at.
    token : str or None
        The token.

    Raises
    ------
    ConfigError
        If there is none and the address is not a loopback one.
    """
    if token is None and not is_loopback(host):
        raise ConfigError(
            f"--host {host}: others could reach the service; expected a token that they must know. Give --token-file FILE, or "
            "leave --host out to serve this machine alone"
        )
