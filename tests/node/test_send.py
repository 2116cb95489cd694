"""Results reach archives that were away, refuse, or come back; what they never take becomes a dead letter."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from bayescope.node.maintenance import node_status, requeue
from nodes import archive_of, certificate, image_file, node_config, running, send, until
from services import Orthanc, free_port

pytestmark = pytest.mark.slow


def deliveries(config: Any) -> dict[str, int]:
    return dict(node_status(config)["deliveries"])


def test_results_wait_for_an_archive_that_is_away(tmp_path: Path) -> None:
    config = node_config(tmp_path / "node")
    archive = archive_of(config)
    with running(config):
        assert send(config, image_file(tmp_path / "a.dcm")) == [0]
        until(lambda: node_status(config)["last_errors"])
        with archive.listening():
            until(lambda: deliveries(config) == {"sent": 1})
    assert len(archive.received) == 1


def test_what_an_archive_refuses_becomes_a_dead_letter_and_can_be_sent_again(tmp_path: Path) -> None:
    config = node_config(tmp_path / "node", delivery={"give_up_days": 1 / 86400})
    archive = archive_of(config)
    archive.status = 0xA700
    with archive.listening(), running(config):
        send(config, image_file(tmp_path / "a.dcm"))
        until(lambda: deliveries(config) == {"dead": 1})
        found = node_status(config)
        (error,), (dead,) = found["last_errors"], found["dead_letters"]
        assert (error["kind"], error["error"]) == ("sending to archive", "status A700")
        assert (dead["destination"], dead["error"], dead["name"]) == ("archive", "status A700", error["name"])
        archive.status = 0
        assert requeue(config)["deliveries"] == 1
        until(lambda: deliveries(config) == {"sent": 1})
    assert len(archive.received) == 1


def test_a_warning_is_success(tmp_path: Path) -> None:
    config = node_config(tmp_path / "node")
    archive = archive_of(config)
    archive.status = 0xB000
    with archive.listening(), running(config):
        send(config, image_file(tmp_path / "a.dcm"))
        until(lambda: deliveries(config) == {"sent": 1})


def test_a_result_whose_file_is_gone_holds_up_no_other(tmp_path: Path) -> None:
    config = node_config(tmp_path / "node")
    archive = archive_of(config)
    with running(config):
        send(config, image_file(tmp_path / "a.dcm"), image_file(tmp_path / "b.dcm"))
        until(lambda: deliveries(config) == {"waiting": 2})
        next((config.folder / "results").rglob("*.dcm")).unlink()
        with archive.listening():
            until(lambda: deliveries(config) == {"sent": 1, "waiting": 1})
            until(lambda: "FileNotFoundError" in [found["error"] for found in node_status(config)["last_errors"]])
    assert len(archive.received) == 1


def test_each_destination_gets_each_result(tmp_path: Path) -> None:
    names = [{"name": name, "ae_title": "ARCHIVE", "address": "127.0.0.1", "port": free_port()} for name in "ab"]
    config = node_config(tmp_path / "node", destinations=names)
    first = archive_of(node_config(tmp_path, destinations=names[:1]))
    second = archive_of(node_config(tmp_path, destinations=names[1:]))
    with first.listening(), running(config):
        send(config, image_file(tmp_path / "a.dcm"), image_file(tmp_path / "b.dcm"))
        until(lambda: len(first.received) == 2)
        with second.listening():
            until(lambda: deliveries(config) == {"sent": 4})
    assert sorted(first.received) == sorted(second.received)


def test_results_are_stored_by_stow(tmp_path: Path, orthanc: Orthanc) -> None:
    config = node_config(tmp_path / "node", destinations=[{"name": "web", "url": orthanc.dicomweb_url}])
    with running(config):
        send(config, image_file(tmp_path / "a.dcm"), image_file(tmp_path / "b.dcm"))
        until(lambda: deliveries(config) == {"sent": 2})
    assert len(orthanc.instance_uids()) == 2


@pytest.mark.parametrize("path", ["", "/nowhere"])
def test_a_web_server_that_does_not_store_is_tried_again(tmp_path: Path, path: str, orthanc: Orthanc) -> None:
    url = f"{orthanc.url}{path}" if path else f"http://127.0.0.1:{free_port()}/dicom-web"
    config = node_config(tmp_path / "node", destinations=[{"name": "web", "url": url}])
    with running(config):
        send(config, image_file(tmp_path / "a.dcm"))
        until(lambda: node_status(config)["last_errors"])
    (error,) = node_status(config)["last_errors"]
    assert error["error"] == ("HTTP 404" if path else "ConnectionError")
    assert deliveries(config) == {"waiting": 1}


def test_results_are_sent_over_tls_to_an_archive_that_is_who_it_says(tmp_path: Path) -> None:
    own, key = certificate(tmp_path, "archive")
    to = {"name": "archive", "ae_title": "ARCHIVE", "address": "127.0.0.1", "port": free_port(), "timeout_s": 3}
    trusting = node_config(tmp_path / "node", destinations=[to | {"tls": {"authorities": str(own)}}])
    doubting = node_config(tmp_path / "node", destinations=[to | {"tls": {}}])
    archive = archive_of(trusting)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(own, key)
    with archive.listening(ssl_context=context):
        with running(doubting):
            send(doubting, image_file(tmp_path / "a.dcm"))
            until(lambda: node_status(doubting)["last_errors"])
        assert archive.received == []
        with running(trusting):
            until(lambda: archive.received)
