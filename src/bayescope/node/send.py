"""Sending of results to one destination, by C-STORE or STOW-RS."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dicomweb_client.api import DICOMwebClient
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pynetdicom import evt
from requests import ConnectionError, Timeout

from bayescope.node.journal import Journal, describe
from bayescope.node.metrics import Metrics
from bayescope.node.network import application_entity, tls_arguments, without_delay
from bayescope.node.outbox import Delivery, Outbox
from bayescope.node.peers import Destination, StoreDestination, WebDestination
from bayescope.node.storage import RESULTS, Storage
from bayescope.node.web import describe_answer, web_client

_WARNINGS = (0xB000, 0xB006, 0xB007)
"""Statuses of C-STORE for objects that were stored."""


class Transport(Protocol):
    """Sends objects by name; why not, by name, of those that the destination does not have now."""

    def __call__(self, objects: Mapping[str, Dataset]) -> dict[str, str]: ...


@dataclass(frozen=True)
class ByStore:
    """C-STORE over one association."""

    destination: StoreDestination
    ae_title: str

    def __call__(self, objects: Mapping[str, Dataset]) -> dict[str, str]:
        to = self.destination
        entity = application_entity(self.ae_title, to.timeout_s)
        for pair in {(found.SOPClassUID, found.file_meta.TransferSyntaxUID) for found in objects.values()}:
            entity.add_requested_context(*pair)
        association = entity.associate(
            to.address,
            to.port,
            ae_title=to.ae_title,
            evt_handlers=[(evt.EVT_CONN_OPEN, without_delay)],
            **tls_arguments(to.tls, to.address),
        )
        if not association.is_established:
            return dict.fromkeys(objects, "rejected" if association.is_rejected else "no association")
        try:
            errors = {name: _error_of(association, found) for name, found in objects.items()}
        finally:
            association.release()
        return {name: error for name, error in errors.items() if error}


def _error_of(association: Any, found: Dataset) -> str:
    """Why an object was not stored; blank if it was."""
    if not association.is_established:
        return "association lost"
    try:
        status = association.send_c_store(found)
    except Exception as error:  # it concerns this object alone: not encoded, or its SOP class was not accepted
        return describe(error) if association.is_established else "association lost"
    if "Status" not in status:
        return "no answer"
    return "" if status.Status in (0, *_WARNINGS) else f"status {status.Status:04X}"


@dataclass(frozen=True)
class ByWeb:
    """STOW-RS, one request for each object: a server may take some and not others."""

    destination: WebDestination

    def __call__(self, objects: Mapping[str, Dataset]) -> dict[str, str]:
        client = web_client(self.destination)
        errors = {name: _web_error_of(client, found) for name, found in objects.items()}
        return {name: error for name, error in errors.items() if error}


def _web_error_of(client: DICOMwebClient, found: Dataset) -> str:
    """Why an object was not stored; blank if it was."""
    try:
        answer = client.store_instances([found])
    except (ConnectionError, Timeout):  # the others would fail likewise
        raise
    except Exception as error:
        return describe_answer(error)
    failed = answer.get("FailedSOPSequence")
    return f"failure reason {failed[0].get('FailureReason', 0):04X}" if failed else ""


def transport_to(destination: Destination, ae_title: str) -> Transport:
    """How results get to a destination, under the node's AE title.  Raises ConfigError if its files cannot be used."""
    if isinstance(destination, WebDestination):
        web_client(destination)
        return ByWeb(destination)
    tls_arguments(destination.tls, destination.address)
    return ByStore(destination, ae_title)


@dataclass(frozen=True)
class Sender:
    """What one destination is still to get, and how it gets there."""

    name: str
    transport: Transport
    outbox: Outbox
    storage: Storage
    journal: Journal
    metrics: Metrics

    def send_due(self) -> int:
        """Send what is due, once; the number of results tried."""
        due = self.outbox.due(self.name)
        if not due:
            return 0
        studies = sorted({delivery.study_instance_uid for delivery in due})
        self.journal.audit("Begin Transferring DICOM Instances", "E", destination=self.name, studies=studies)
        errors = self._errors([delivery.file for delivery in due])
        sent = [delivery for delivery in due if delivery.file not in errors]
        self.outbox.sent(sent)
        for delivery in due:
            self._tell(delivery, errors.get(delivery.file, ""))
        self.journal.audit(
            "DICOM Instances Transferred", "R", success=not errors, destination=self.name, studies=studies, objects=len(sent)
        )
        return len(due)

    def _errors(self, files: Sequence[str]) -> dict[str, str]:
        """Send files; why not, by file, of those that were not sent."""
        objects, errors = dict[str, Dataset](), dict[str, str]()
        for file in files:
            try:
                objects[file] = dcmread(self.storage.path(RESULTS, file))
            except (OSError, InvalidDicomError) as error:
                errors[file] = describe(error)
        try:
            return errors | self.transport(objects) if objects else errors
        except Exception as error:  # whatever a library raises, the results stay and are tried again
            return dict.fromkeys(files, describe(error))

    def _tell(self, delivery: Delivery, error: str) -> None:
        if not error:
            self.metrics.sent.labels(self.name, "sent").inc()
            self.journal.event("result sent", result=delivery.sop_instance_uid, destination=self.name)
            return
        is_dead = self.outbox.failed(delivery, error)
        self.metrics.sent.labels(self.name, "dead" if is_dead else "failed").inc()
        self.journal.event(
            "result given up" if is_dead else "result not sent",
            "error" if is_dead else "warning",
            result=delivery.sop_instance_uid,
            destination=self.name,
            error=error,
        )
