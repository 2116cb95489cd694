"""Remedies of the errors of ``bayescope serve``, followed."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partialmethod
from pathlib import Path
from typing import Any

from cli.spies import argument
from remedies import NOT_FOLLOWED, Place, remedy

_TOKEN = "0123456789abcdef"
SERVE = "service.serve:serve"

NOT_FOLLOWED.update(
    {
        ("service.__init__", ""): "needs an installation without FastAPI",
        ("service.service:_with_source", "{}"): "another error, with the name that the file was sent under",
        ("service.uploads:read", "{}"): "another error, with the name that the file was sent under",
        ("service.dicomweb:retrieve", ""): "tests/service/test_dicomweb.py, with an archive",
    }
)


def starts(p: Place, *options: object) -> None:
    """``bayescope serve`` with these options comes as far as serving."""
    assert argument(["serve", str(p.trained), *map(str, options)], SERVE, "run") == str(p.trained)


@remedy("service.settings:check_address", "Give --token-file FILE")
@remedy("service.settings:read_token", "openssl rand -hex 32")
def token(p: Place) -> None:
    path = p.folder / "token"
    path.write_text("short")
    p.refused("serve", p.trained, "--host", "0.0.0.0")
    p.refused("serve", p.trained, "--host", "0.0.0.0", "--token-file", path)
    path.write_text(_TOKEN)
    starts(p, "--host", "0.0.0.0", "--token-file", path)
    starts(p)


@remedy("service.serve:serve", "Give the other too")
@remedy("service.serve:serve", "Check the files")
@remedy("service.serve:_listening", "Give another --port")
def address(p: Place) -> None:
    import socket

    import uvicorn

    none = p.folder / "none.pem"
    p.refused("serve", p.trained, "--tls-key", none)
    p.refused("serve", p.trained, "--tls-key", none, "--tls-certificate", none)
    p.patch.setattr(uvicorn.Server, "run", lambda server, sockets: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        p.refused("serve", p.trained, "--port", taken.getsockname()[1])
    p.works("serve", p.trained, "--port", 0)


@contextmanager
def service(p: Place, **settings: Any) -> Iterator[Any]:
    """``ask(expected status, path, files, **fields)`` of a service; what it refuses is told."""
    from bayescope.service.settings import ServiceSettings
    from serving import client_of

    with client_of(p.trained, ServiceSettings(**settings)) as client:

        def ask(status: int, path: str, *files: Path, **fields: str) -> Any:
            sent = [("files", (file.name, file.read_bytes())) for file in files]
            answer = client.post(f"/v1/{path}", files=sent or None, data=fields)
            assert answer.status_code == status, answer.text
            if status == 422:
                p.told.append(answer.json()["error"])
            return answer

        yield ask


@remedy("service.api", "Send one of these")
@remedy("service.service", "Send the file")
@remedy("service.service", "Send that too")
@remedy("service.service:_only_image", "Send one file")
def request(p: Place) -> None:
    picture = p.picture()
    with service(p) as ask:
        ask(422, "classify", max_passes="4")
        ask(422, "classify", study="1", series="2", instance="3")
        ask(200, "classify", picture)
        ask(422, "explain/counterfactual.png", picture)
        ask(200, "explain/counterfactual.png", picture, counterfactual="true")
        ask(422, "explain", picture, picture)
        ask(200, "explain", picture)


@remedy("service.service:_read", "Send them in several")
@remedy("service.uploads:_check_pixels", "Send a smaller image, or start the service with a larger --max-pixels")
def limits(p: Place) -> None:
    picture = p.picture()
    with service(p, max_images=1) as ask:
        ask(422, "classify", picture, picture)
        ask(200, "classify", picture)
    with service(p, max_pixels=9) as ask:
        p.told.append(ask(200, "classify", picture).json()["records"][0]["error"])
    with service(p) as ask:
        assert "class" in ask(200, "classify", picture).json()["records"][0]


@remedy("service.service", "Send all three")
def reference(p: Place) -> None:
    from dicomweb_client import DICOMwebClient

    at_once = partialmethod(DICOMwebClient.set_http_retry_params, retry=False)
    p.patch.setattr(DICOMwebClient, "set_http_retry_params", at_once)
    with service(p, dicomweb="http://127.0.0.1:9/dicom-web") as ask:
        ask(422, "classify", study="1")
        assert "cannot be retrieved" in ask(422, "classify", study="1", series="2", instance="3").json()["error"]
