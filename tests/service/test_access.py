"""Who may ask, and how much."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from bayescope.service.settings import ServiceSettings
from serving import client_of, files

TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def guarded(tiny_run: Path) -> Iterator[TestClient]:
    with client_of(tiny_run, ServiceSettings(token=TOKEN, max_upload=4096)) as found:
        yield found


@pytest.mark.parametrize("path", ["/v1/model", "/metrics"])
def test_a_token_is_asked_for(guarded: TestClient, path: str) -> None:
    for sent in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}, {"Authorization": b"Bearer \xe9"}):
        answer = guarded.get(path, headers=sent)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    assert guarded.get(path, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_the_page_and_the_state_need_no_token(guarded: TestClient) -> None:
    assert guarded.get("/").status_code == 200
    assert guarded.get("/healthz").status_code == 200


def test_a_large_body_is_refused_whatever_its_length_header(guarded: TestClient) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = guarded.post("/v1/classify", files=files(bytes(5000)), headers=headers)
    assert (answer.status_code, "over 4096 bytes" in answer.json()["error"]) == (413, True)

    def parts() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        for _ in range(10):
            yield bytes(1000)
        yield b"\r\n--x--\r\n"

    chunked = {**headers, "Content-Type": "multipart/form-data; boundary=x"}
    answer = guarded.post("/v1/classify", content=parts(), headers=chunked)
    assert (answer.status_code, "over 4096 bytes" in answer.json()["error"]) == (413, True)


def test_pages_of_other_sites_are_refused(client: TestClient, pictures: list[bytes]) -> None:
    answer = client.post("/v1/classify", files=files(pictures[0]), headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 403
    assert client.post("/v1/classify", files=files(pictures[0]), headers={"Origin": "http://127.0.0.1"}).status_code == 200


def test_names_of_other_sites_that_lead_here_are_refused(client: TestClient, guarded: TestClient) -> None:
    assert client.get("/v1/model", headers={"Host": "elsewhere.example"}).status_code == 421
    assert client.get("/v1/model", headers={"Host": "localhost:8000"}).status_code == 200
    sent = {"Host": "hospital.example", "Authorization": f"Bearer {TOKEN}"}
    assert guarded.get("/v1/model", headers=sent).status_code == 200


def test_answers_forbid_what_the_page_does_not_need(client: TestClient) -> None:
    headers = client.get("/").headers
    assert headers["content-security-policy"].startswith("default-src 'self'")
    assert headers["x-content-type-options"] == "nosniff"
