"""A service in this process or at a port, and what is sent to it."""

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import uvicorn
from fastapi.testclient import TestClient
from PIL import Image

from bayescope.service.api import create_app
from bayescope.service.settings import ServiceSettings
from services import free_port

HOST = "http://127.0.0.1"
Files = list[tuple[str, tuple[str, bytes]]]


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def files(*contents: bytes, name: str = "image") -> Files:
    """A multipart body of ``image0.png``, ``image1.png`` and so on."""
    return [("files", (f"{name}{i}.png", content)) for i, content in enumerate(contents)]


@contextmanager
def client_of(run: Path, settings: ServiceSettings | None = None) -> Iterator[TestClient]:
    """A client of a service in this process."""
    app = create_app(run, settings or ServiceSettings(), "cpu")
    with TestClient(app, base_url=HOST, raise_server_exceptions=False) as client:
        yield client


@contextmanager
def listening(run: Path, settings: ServiceSettings | None = None) -> Iterator[str]:
    """URL of a service at a port of this machine, in a thread."""
    port = free_port()
    config = uvicorn.Config(create_app(run, settings or ServiceSettings(), "cpu"), port=port, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    url = f"{HOST}:{port}"
    try:
        wait_until(lambda: server.started and httpx.get(f"{url}/readyz").status_code == 200)
        yield url
    finally:
        server.should_exit = True
        thread.join()


def wait_until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Fails unless ``holds`` becomes true."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.02)
