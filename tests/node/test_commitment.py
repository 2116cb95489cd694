"""Storage Commitment: the answer comes on an association of its own, again and again until it is taken."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation as MAMMOGRAM
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel as PushModel
from pynetdicom.sop_class import StorageCommitmentPushModelInstance as PushModelInstance

from bayescope.node.commitment import CLASS_CONFLICT, NO_SUCH_OBJECT
from bayescope.node.config import NodeConfig
from bayescope.node.receive import PROCESSING_FAILURE
from dicom_files import item
from nodes import calling, image_file, node_config, running, send, until

pytestmark = pytest.mark.slow


def ask(config: NodeConfig, *objects: tuple[str, str]) -> int:
    """Request the commitment of objects, by SOP class and instance; the status of the N-ACTION."""
    sequence = [item(ReferencedSOPClassUID=kind, ReferencedSOPInstanceUID=uid) for kind, uid in objects]
    request = item(TransactionUID="1.2.3", ReferencedSOPSequence=sequence)
    with calling(config, contexts=[(PushModel, ExplicitVRLittleEndian)]) as association:
        status, _ = association.send_n_action(request, 1, PushModel, PushModelInstance)
        return int(status.Status)


@contextmanager
def listening(config: NodeConfig, told: list[tuple[int, Dataset]], **options: Any) -> Iterator[None]:
    """The caller as the one that is told."""
    assert config.listen
    (caller,) = config.listen.callers

    def report(event: evt.Event) -> tuple[int, None]:
        told.append((event.event_type, event.event_information))
        return 0, None

    entity = AE(caller.ae_title)
    entity.add_supported_context(PushModel, scp_role=True, scu_role=True)
    port: Any = caller.commitment_port
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, report)])
    assert server
    try:
        yield
    finally:
        server.shutdown()


def test_success_and_partial_failure(tmp_path: Path) -> None:
    config, file, told = node_config(tmp_path / "node"), image_file(tmp_path / "a.dcm"), list[tuple[int, Dataset]]()
    uid = dcmread(file).SOPInstanceUID
    with running(config), listening(config, told):
        send(config, file)
        assert ask(config, (MAMMOGRAM, uid)) == 0
        until(lambda: len(told) == 1)
        assert ask(config, (MAMMOGRAM, uid), (MAMMOGRAM, "1.9.9"), ("1.2.840", uid)) == 0
        until(lambda: len(told) == 2)
    (kind, report), (other_kind, other) = told
    assert (kind, report.TransactionUID, "FailedSOPSequence" in report) == (1, "1.2.3", False)
    assert [found.ReferencedSOPInstanceUID for found in report.ReferencedSOPSequence] == [uid]
    assert other_kind == 2
    assert [found.ReferencedSOPInstanceUID for found in other.ReferencedSOPSequence] == [uid]
    failed = [(found.ReferencedSOPInstanceUID, found.FailureReason) for found in other.FailedSOPSequence]
    assert failed == [("1.9.9", NO_SUCH_OBJECT), (uid, CLASS_CONFLICT)]


def test_a_caller_that_does_not_listen_is_told_later_even_by_a_node_started_anew(tmp_path: Path) -> None:
    config, file, told = node_config(tmp_path / "node"), image_file(tmp_path / "a.dcm"), list[tuple[int, Dataset]]()
    with running(config) as node:
        send(config, file)
        ask(config, (MAMMOGRAM, dcmread(file).SOPInstanceUID))
        until(lambda: node.database.rows("SELECT 1 FROM commitments WHERE attempts > 0"))
    with listening(config, told), running(config) as node:
        until(lambda: told)
        until(lambda: not node.database.rows("SELECT 1 FROM commitments"))
    assert [kind for kind, _ in told] == [1]


def test_an_object_whose_file_is_gone_is_not_committed(tmp_path: Path) -> None:
    config, file, told = node_config(tmp_path / "node"), image_file(tmp_path / "a.dcm"), list[tuple[int, Dataset]]()
    with running(config), listening(config, told):
        send(config, file)
        for kept in (config.folder / "objects").rglob("*.dcm"):
            kept.unlink()
        ask(config, (MAMMOGRAM, dcmread(file).SOPInstanceUID))
        until(lambda: told)
    assert [kind for kind, _ in told] == [2]


def test_a_caller_without_a_port_is_refused(tmp_path: Path) -> None:
    config = node_config(tmp_path / "node", listen={"callers": [{"ae_title": "TESTER"}]})
    with running(config):
        assert ask(config, (MAMMOGRAM, "1.2")) == PROCESSING_FAILURE


@pytest.mark.parametrize("information", [None, item(TransactionUID="1.2.3")], ids=["nothing", "no objects"])
def test_a_request_without_objects_is_refused(tmp_path: Path, information: Dataset | None) -> None:
    config = node_config(tmp_path / "node")
    with running(config), calling(config, contexts=[(PushModel, ExplicitVRLittleEndian)]) as association:
        status, _ = association.send_n_action(information, 1, PushModel, PushModelInstance)
        assert status.Status == 0x0115
