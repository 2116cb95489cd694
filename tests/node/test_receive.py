"""What a node refuses, with which status, and that nothing is lost of what it accepted."""

import errno
import json
import os
import ssl
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    RLELossless,
)
from pynetdicom import evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode

from bayescope.node.config import NodeConfig
from bayescope.node.journal import AUDIT, LOG
from bayescope.node.receive import CANNOT_UNDERSTAND, MISMATCH, OUT_OF_RESOURCES
from mammograms import SYNTAXES, mammogram
from nodes import UIDS, calling, certificate, image_file, node_config, running, send, until
from services import program

A_ABORT = bytes([7, 0, 0, 0, 0, 4, 0, 0, 0, 0])


def stored(config: NodeConfig) -> list[Path]:
    return sorted((config.folder / "objects").rglob("*.dcm"))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("changed", [{"ae_title": "STRANGER"}, {"called": "OTHER"}, {"addresses": ["10.0.0.0/8"]}], ids=str)
def test_strangers_are_rejected_and_reported(tmp_path: Path, changed: dict[str, Any]) -> None:
    caller = {"ae_title": "TESTER", "addresses": changed.pop("addresses", ["127.0.0.0/8", "::1"])}
    config = node_config(tmp_path / "node", listen={"callers": [caller]})
    with running(config):
        with calling(config, **changed) as association:
            assert association.is_rejected
        until(lambda: "Security Alert" in (config.folder / AUDIT).read_text())
    (alert,) = [line for line in lines(config.folder / AUDIT) if line["event_id"]["meaning"] == "Security Alert"]
    assert (alert["outcome"], alert["caller"]) == (8, changed.get("ae_title", "TESTER"))


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.name)
def test_images_are_kept_as_they_are_encoded(tmp_path: Path, syntax: str) -> None:
    config, file = node_config(tmp_path / "node"), image_file(tmp_path / "a.dcm", syntax=syntax)
    with running(config):
        assert send(config, file) == [0]
    (kept,) = map(dcmread, stored(config))
    assert kept.file_meta.TransferSyntaxUID == dcmread(file).file_meta.TransferSyntaxUID
    assert kept == dcmread(file)


@pytest.mark.parametrize("option", ["-xs", "-xr", "-xv", "-xi", "-x="])
def test_dcmtk_sends_in_its_own_way(tmp_path: Path, option: str) -> None:
    """Proposing JPEG, RLE, JPEG 2000, implicit VR or all native encodings."""
    syntax = {"-xs": JPEGLosslessSV1, "-xr": RLELossless, "-xv": JPEG2000Lossless}.get(option, ExplicitVRLittleEndian)
    config, file = node_config(tmp_path / "node"), image_file(tmp_path / "a.dcm", syntax=syntax)
    assert config.listen
    with running(config):
        words = [program("storescu"), "-aet", "TESTER", "-aec", "BAYESCOPE", option, "127.0.0.1", str(config.listen.port), file]
        subprocess.run(words, check=True, timeout=30)
    (kept,) = map(dcmread, stored(config))
    assert (kept.SOPInstanceUID, kept.pixel_array.tolist()) == (
        dcmread(file).SOPInstanceUID,
        dcmread(file).pixel_array.tolist(),
    )


def test_what_is_no_image_is_not_negotiated(tmp_path: Path) -> None:
    config = node_config(tmp_path / "node")
    with running(config), calling(config, contexts=[(EncapsulatedPDFStorage, ExplicitVRLittleEndian)]) as association:
        assert association.accepted_contexts == []


def broken(path: Path) -> Path:
    """Half of its pixels are missing."""
    data = dcmread(image_file(path))
    data.PixelData = data.PixelData[: len(data.PixelData) // 2]
    data.save_as(path)
    return path


def of_60_frames(path: Path) -> Path:
    return image_file(path, frames=60, SOPClassUID=BreastTomosynthesisImageStorage)


def without_study(path: Path) -> Path:
    return image_file(path, StudyInstanceUID="")


@pytest.mark.parametrize(
    ("write", "status"), [(broken, CANNOT_UNDERSTAND), (of_60_frames, CANNOT_UNDERSTAND), (without_study, MISMATCH)]
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, write: Any, status: int) -> None:
    config, bad, good = node_config(tmp_path / "node"), write(tmp_path / "bad.dcm"), image_file(tmp_path / "good.dcm")
    with running(config):
        assert send(config, good, bad, good) == [0, status, 0]
    assert [dcmread(file).SOPInstanceUID for file in stored(config)] == [dcmread(good).SOPInstanceUID]
    assert list((config.folder / "objects").rglob("*.part")) == []


def test_the_comment_says_what_is_wrong(tmp_path: Path) -> None:
    config, bad = node_config(tmp_path / "node"), of_60_frames(tmp_path / "bad.dcm")
    data = dcmread(bad)
    with running(config), calling(config, contexts=[(data.SOPClassUID, ExplicitVRLittleEndian)]) as association:
        assert association.send_c_store(data).ErrorComment == "60 frames"


def test_an_object_announced_as_another_is_refused(tmp_path: Path) -> None:
    config, data = node_config(tmp_path / "node"), dcmread(image_file(tmp_path / "a.dcm"))
    other = dcmread(image_file(tmp_path / "b.dcm"))
    with running(config), calling(config, contexts=[(data.SOPClassUID, ExplicitVRLittleEndian)]) as association:
        request = C_STORE()
        request.MessageID, request.Priority = 1, 2
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
        request.DataSet = BytesIO(encode(other, False, True))
        association._reactor_checkpoint.clear()
        association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
        _, answer = association.dimse.get_msg(block=True)
        association._reactor_checkpoint.set()
        assert answer.Status == MISMATCH
    assert stored(config) == []


def test_a_full_disk_is_out_of_resources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = node_config(tmp_path / "node")
    first, second = image_file(tmp_path / "a.dcm"), image_file(tmp_path / "b.dcm")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with running(config):
        assert send(config, first) == [0]
        with monkeypatch.context() as patch:
            patch.setattr("bayescope.node.storage.os.fsync", full)
            assert send(config, second) == [OUT_OF_RESOURCES]
        assert len(stored(config)) == 1
        assert send(config, second) == [0]
    assert len(stored(config)) == 2


def test_a_nearly_full_disk_is_out_of_resources(tmp_path: Path) -> None:
    config = node_config(tmp_path / "node", keep_free_mb=2**40)
    with running(config):
        assert send(config, image_file(tmp_path / "a.dcm")) == [OUT_OF_RESOURCES]


@pytest.mark.slow
def test_a_full_queue_is_out_of_resources(tmp_path: Path) -> None:
    config, file = node_config(tmp_path / "node"), image_file(tmp_path / "a.dcm")
    with running(config) as node:
        pages = node.database.rows("PRAGMA page_count")[0][0]
        node.database.rows(f"PRAGMA max_page_count = {pages}")
        many = [image_file(tmp_path / f"{i}.dcm", seed=i) for i in range(25)]
        statuses = send(config, *many)
        assert OUT_OF_RESOURCES in statuses
        assert set(statuses) <= {0, OUT_OF_RESOURCES}
        node.database.rows("PRAGMA max_page_count = 1000000")
        assert send(config, file) == [0]
    with running(config):
        assert len(stored(config)) == statuses.count(0) + 1


def test_the_association_of_too_large_an_object_is_aborted(tmp_path: Path) -> None:
    config = node_config(tmp_path / "node", listen={"max_object_mb": 1})
    big, small = image_file(tmp_path / "a.dcm", image=mammogram(1200, 1000)), image_file(tmp_path / "b.dcm")
    data = dcmread(big)
    with running(config):
        with calling(config, contexts=[(data.SOPClassUID, ExplicitVRLittleEndian)]) as association:
            assert "Status" not in association.send_c_store(data)
            until(lambda: association.is_aborted)
        until(lambda: "object too large" in (config.folder / LOG).read_text())
        assert send(config, small, small, small) == [0, 0, 0]
    assert len(stored(config)) == 1


@pytest.mark.parametrize("last_bytes", [A_ABORT, b""], ids=["abort", "lost connection"])
def test_an_abort_in_the_middle_of_an_object_leaves_nothing(tmp_path: Path, last_bytes: bytes) -> None:
    config, file = node_config(tmp_path / "node"), image_file(tmp_path / "a.dcm", image=mammogram(1200, 1000))
    data, sent = dcmread(file), list[int]()

    def cut(event: evt.Event) -> None:
        sent.append(len(event.data))
        if sum(sent) > len(data.PixelData) // 2 and (connection := event.assoc.dul.socket):
            connection.socket.sendall(last_bytes)
            connection.close()

    contexts = [(data.SOPClassUID, ExplicitVRLittleEndian)]
    with running(config) as node:
        with calling(config, contexts=contexts, evt_handlers=[(evt.EVT_DATA_SENT, cut)]) as association:
            assert "Status" not in association.send_c_store(data)
        assert send(config, image_file(tmp_path / "b.dcm")) == [0]
        until(lambda: node._receiver and node._receiver._calls == {})
    assert len(stored(config)) == 1
    assert list((config.folder / "objects").rglob("*.part")) == []


def test_more_associations_than_allowed_are_rejected(tmp_path: Path) -> None:
    config = node_config(tmp_path / "node", listen={"max_associations": 1})
    with running(config), calling(config) as first:
        assert first.send_c_echo().Status == 0  # established on the node's side too
        with calling(config) as second:
            assert second.is_rejected


def test_tls_asks_for_the_callers_certificate(tmp_path: Path) -> None:
    (own, own_key), (theirs, their_key) = certificate(tmp_path, "node"), certificate(tmp_path, "caller")
    tls = {"certificate": str(own), "key": str(own_key), "authorities": str(theirs)}
    config = node_config(tmp_path / "node", listen={"tls": tls})
    context = ssl.create_default_context(cafile=str(own))
    with running(config):
        with calling(config, tls_args=(context, "127.0.0.1")) as association:
            assert not association.is_established or not association.send_c_echo()
        context.load_cert_chain(theirs, their_key)
        with calling(config, tls_args=(context, "127.0.0.1")) as association:
            assert association.send_c_echo().Status == 0


def test_nothing_of_the_patient_is_in_log_and_audit_trail(tmp_path: Path) -> None:
    config, file = node_config(tmp_path / "node"), image_file(tmp_path / "a.dcm")
    with running(config):
        assert send(config, file, of_60_frames(tmp_path / "b.dcm")) == [0, CANNOT_UNDERSTAND]
        until(lambda: "Transferred" in (config.folder / AUDIT).read_text())
    told = (config.folder / LOG).read_text() + (config.folder / AUDIT).read_text()
    data = dcmread(file)
    for secret in ("Doe", "Jane", "12345", "19700101", *(str(data[keyword].value) for keyword in UIDS)):
        assert secret not in told
