"""``bayescope serve`` as a process: its address, HTTPS, and how it ends."""

import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from services import program
from serving import files, wait_until

pytestmark = pytest.mark.slow
TOKEN = "0123456789abcdef"


@contextmanager
def process(run: Path, *options: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """URL and process of a service on a free port."""
    command = [sys.executable, "-m", "bayescope", "serve", str(run), "--port", "0", *map(str, options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as found:
        assert found.stdout is not None
        try:
            yield found.stdout.readline().strip(), found
        finally:
            found.kill()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for localhost, signed by itself, and its key."""
    paths = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = [program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-out", str(paths[0]), "-keyout", str(paths[1])]
    subprocess.run(command, check=True, capture_output=True)
    return paths


def test_it_answers_and_ends_when_asked_to(tiny_run: Path, pictures: list[bytes]) -> None:
    with process(tiny_run) as (url, running):
        assert url.startswith("http://127.0.0.1:")
        wait_until(lambda: httpx.get(f"{url}readyz").status_code == 200)
        assert "class" in httpx.post(f"{url}v1/classify", files=files(pictures[0]), timeout=60).json()["records"][0]
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) in (0, -signal.SIGTERM)
        assert running.stderr is not None
        assert "Traceback" not in running.stderr.read()


def test_https_with_a_token(tiny_run: Path, tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    (tmp_path / "token").write_text(TOKEN)
    options = ("--tls-certificate", certificate[0], "--tls-key", certificate[1], "--token-file", tmp_path / "token")
    with process(tiny_run, *options) as (url, _):
        assert url.startswith("https://127.0.0.1:")
        url = url.replace("127.0.0.1", "localhost")
        trusted = ssl.create_default_context(cafile=str(certificate[0]))
        with httpx.Client(verify=trusted, base_url=url) as client:
            assert client.get("v1/model").status_code == 401
            assert client.get("v1/model", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
