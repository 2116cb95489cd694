"""Reception of images: a DICOM server for C-ECHO, C-STORE and the request of Storage Commitment."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification  # type: ignore[attr-defined]

from bayescope.errors import DataError, MismatchError, RunError
from bayescope.node.commitment import Commitments, Request
from bayescope.node.intake import Intake
from bayescope.node.journal import Journal, describe
from bayescope.node.metrics import Metrics
from bayescope.node.network import (
    IMAGE_CLASSES,
    TRANSFER_SYNTAXES,
    application_entity,
    listening,
    server_context,
    without_delay,
)
from bayescope.node.peers import ListenConfig
from bayescope.node.queue import Instance

SUCCESS, OUT_OF_RESOURCES, MISMATCH, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xA900, 0xC000
"""Statuses of C-STORE (PS3.4 table B.2-1): the last for what is no image that can be read."""
PROCESSING_FAILURE, INVALID_ARGUMENT = 0x0110, 0x0115
"""Statuses of N-ACTION."""
_UNKNOWN_CALLER, _USER, _PROVIDER, _PERMANENT = 0x03, 0x01, 0x03, 0x01
"""Reason, sources and result of a rejection (PS3.8 table 9-21)."""
_COMMENT_LENGTH = 64
_MB = 1_000_000


@dataclass
class _Call:
    """What has come over one association."""

    message_bytes: int = 0
    studies: set[str] = field(default_factory=set)
    classes: Counter[str] = field(default_factory=Counter)


@dataclass
class Receiver:
    """The server of a node.  ``wake``: called when there is something to do."""

    config: ListenConfig
    intake: Intake
    commitments: Commitments
    journal: Journal
    metrics: Metrics
    wake: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self._calls: dict[Association, _Call] = {}
        self._server: Any = None

    def start(self) -> None:
        """Listen from now on."""
        entity = application_entity(self.config.ae_title, self.config.timeout_s)
        entity.require_called_aet = True
        entity.maximum_associations = self.config.max_associations
        entity.maximum_pdu_size = 1 << 18
        entity.add_supported_context(Verification)
        entity.add_supported_context(StorageCommitmentPushModel)
        for sop_class in IMAGE_CLASSES:
            entity.add_supported_context(sop_class, list(TRANSFER_SYNTAXES))
        handlers: list[Any] = [
            (evt.EVT_CONN_OPEN, without_delay),
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_REJECTED, self._rejected),
            (evt.EVT_ESTABLISHED, self._established),
            (evt.EVT_DATA_RECV, self._data),
            (evt.EVT_DIMSE_RECV, self._message),
            (evt.EVT_C_ECHO, lambda event: SUCCESS),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_N_ACTION, self._commit),
            (evt.EVT_CONN_CLOSE, self._closed),
        ]
        context = None if self.config.tls is None else server_context(self.config.tls)
        place = self.config.address, self.config.port
        with listening(*place):
            self._server = entity.start_server(place, block=False, evt_handlers=handlers, ssl_context=context)

    def stop(self) -> None:
        """Listen no more; associations are aborted."""
        self._server.ae.shutdown()

    def _requested(self, event: evt.Event) -> None:
        title, address = _caller(event)
        if not any(caller.ae_title == title and caller.may_call_from(address) for caller in self.config.callers):
            event.assoc.acse.send_reject(_PERMANENT, _USER, _UNKNOWN_CALLER)
            self._rejected(event)
            event.assoc.kill()

    def _rejected(self, event: evt.Event) -> None:
        title, address = _caller(event)
        answer: Any = event.assoc.acceptor.primitive
        self.metrics.associations.labels("rejected").inc()
        if answer.result_source == _PROVIDER:
            self.journal.event("too many associations", "warning", caller=title, address=address)
            return
        self.journal.event("association rejected", "warning", caller=title, address=address)
        self.journal.audit("Security Alert", "E", type_="Node Authentication", success=False, caller=title, address=address)

    def _established(self, event: evt.Event) -> None:
        self.metrics.associations.labels("accepted").inc()
        self._calls[event.assoc] = _Call()

    def _data(self, event: evt.Event) -> None:
        call = self._calls.get(event.assoc)
        if call is None:
            return
        call.message_bytes += len(event.data)
        if call.message_bytes > self.config.max_object_mb * _MB:
            call.message_bytes = 0
            title, address = _caller(event)
            self.metrics.associations.labels("aborted").inc()
            self.journal.event("object too large", "warning", caller=title, address=address, limit_mb=self.config.max_object_mb)
            event.assoc.abort(block=False)

    def _message(self, event: evt.Event) -> None:
        if call := self._calls.get(event.assoc):
            call.message_bytes = 0

    def _store(self, event: evt.Event) -> Dataset:
        request: Any = event.request
        title, _ = _caller(event)
        content = event.encoded_dataset()
        announced = str(request.AffectedSOPInstanceUID), str(request.AffectedSOPClassUID)
        try:
            instance, is_new = self.intake.accept(content, title, announced)
        except (DataError, RunError) as error:
            return self._refusal(error, title, announced[0])
        self._count(event, instance)
        self.metrics.stored.labels(f"{SUCCESS:04X}").inc()
        self.metrics.stored_bytes.inc(len(content))
        self.journal.event("object stored", instance=instance.sop_instance_uid, caller=title, bytes=len(content), new=is_new)
        self.wake()
        return _response(SUCCESS)

    def _refusal(self, error: DataError | RunError, title: str, uid: str) -> Dataset:
        status = _status_of(error)
        self.metrics.stored.labels(f"{status:04X}").inc()
        self.journal.event(
            "object refused", "warning", caller=title, instance=uid, status=f"{status:04X}", error=describe(error)
        )
        return _response(status, _comment(error))

    def _count(self, event: evt.Event, instance: Instance) -> None:
        """Take note of what comes over an association, for the audit trail."""
        call, study = self._calls.get(event.assoc) or _Call(), instance.study_instance_uid
        if study not in call.studies:
            self.journal.audit("Begin Transferring DICOM Instances", "E", caller=_caller(event)[0], studies=[study])
        call.studies.add(study)
        call.classes[instance.sop_class_uid] += 1

    def _commit(self, event: evt.Event) -> tuple[int, None]:
        title, address = _caller(event)
        request = _commitment_request(event, title, address)
        if request is None:
            return INVALID_ARGUMENT, None
        if not any(caller.ae_title == title and caller.commitment_port for caller in self.config.callers):
            self.journal.event("storage commitment refused: no commitment_port", "warning", caller=title)
            return PROCESSING_FAILURE, None
        self.commitments.add(request)
        self.journal.event("storage commitment requested", caller=title, objects=len(request.items))
        return SUCCESS, None

    def _closed(self, event: evt.Event) -> None:
        call = self._calls.pop(event.assoc, None)
        if call is not None and call.classes:
            title, address = _caller(event)
            self.journal.audit(
                "DICOM Instances Transferred",
                "C",
                caller=title,
                address=address,
                studies=sorted(call.studies),
                sop_classes=dict(call.classes),
            )


def _caller(event: evt.Event) -> tuple[str, str]:
    """AE title and address of the other side."""
    requestor = event.assoc.requestor
    title = requestor.ae_title or getattr(requestor.primitive, "calling_ae_title", "") or ""
    return title.strip(), requestor.address


def _commitment_request(event: evt.Event, title: str, address: str) -> Request | None:
    """What is asked for; None if that is incomplete."""
    try:
        information = event.action_information
        objects = information.ReferencedSOPSequence
        items = tuple((str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID)) for item in objects)
        return Request(str(information.TransactionUID), title, address, items) if items else None
    except AttributeError:
        return None


def _status_of(error: Exception) -> int:
    if isinstance(error, RunError):
        return OUT_OF_RESOURCES
    return MISMATCH if isinstance(error, MismatchError) else CANNOT_UNDERSTAND


def _comment(error: Exception) -> str:
    """What was found, without the name of the file, as an Error Comment (0000,0902) holds it."""
    found = str(error).partition(": ")[2].partition(";")[0]
    return found.encode("ascii", "replace").decode().replace("\\", "/")[:_COMMENT_LENGTH]


def _response(status: int, comment: str = "") -> Dataset:
    found = Dataset()
    found.Status = status
    if comment:
        found.ErrorComment = comment
    return found
