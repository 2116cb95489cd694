"""Uploads: limits, private copies, and nothing left behind."""

import io
import tempfile
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from bayescope.errors import DataError
from bayescope.runs.model_file import load_model
from bayescope.service.settings import ServiceSettings
from bayescope.service.uploads import Reader, Upload, private_copies
from serving import client_of, files


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_nothing_is_left_of_what_was_read_or_refused(client: TestClient, pictures: list[bytes], temporary: Path) -> None:
    for content in (pictures[0], b"broken", bytes(3_000_000)):
        client.post("/v1/classify", files=files(content))
        client.post("/v1/explain", files=files(content))
        client.post("/v1/report", files=files(content))
    assert list(temporary.rglob("*")) == []


def test_copies_are_private_and_named_by_number(temporary: Path) -> None:
    with private_copies([Upload("../../etc/passwd", io.BytesIO(b"x")), Upload("a b/c.PNG", io.BytesIO(b"y"))]) as (
        first,
        second,
    ):
        assert first.path.parent.parent == temporary
        assert first.path.parent.stat().st_mode & 0o077 == 0
        assert first.path.suffix == ""
        assert second.path.suffix == ".png"
        assert (first.label, second.label) == ("../../etc/passwd", "a b/c.PNG")


@pytest.mark.parametrize("name", ["", "\x00", "a" * 5000 + ".png", "\udce9.png", "../..", "con.png\n\r"])
def test_any_name_will_do(client: TestClient, pictures: list[bytes], name: str, temporary: Path) -> None:
    with private_copies([Upload(name, io.BytesIO(pictures[0]))]) as (copy,):
        assert copy.path.is_file()
        assert copy.label.isprintable()
        assert 0 < len(copy.label) <= 200


def test_an_image_of_too_many_pixels_is_refused_by_its_header(tiny_run: Path, pictures: list[bytes]) -> None:
    reader = Reader(load_model(tiny_run), None, max_pixels=95)
    with (
        private_copies([Upload("a.png", io.BytesIO(pictures[0]))]) as (copy,),
        pytest.raises(DataError, match="96 pixels; expected at most 95"),
    ):
        reader.read(copy)


def test_uploads_are_kept_if_so_asked(tiny_run: Path, pictures: list[bytes], tmp_path: Path) -> None:
    with client_of(tiny_run, ServiceSettings(keep=tmp_path / "kept")) as client:
        client.post("/v1/classify", files=files(pictures[0], pictures[0], b"broken"))
    (kept,) = (tmp_path / "kept").iterdir()
    assert kept.read_bytes() == pictures[0]


def test_a_request_of_too_many_images_is_refused(tiny_run: Path, pictures: list[bytes]) -> None:
    with client_of(tiny_run, ServiceSettings(max_images=2)) as client:
        answer = client.post("/v1/classify", files=files(*pictures[:3]))
    assert (answer.status_code, "more than 2 images" in answer.json()["error"]) == (422, True)
