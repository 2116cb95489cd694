"""Storage Commitment: requests are kept in the database, and answered on an association of their own (PS3.4 Annex J)."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pynetdicom import build_role, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance  # type: ignore[attr-defined]

from bayescope.node.config import DeliveryConfig
from bayescope.node.database import Database
from bayescope.node.journal import Journal
from bayescope.node.network import application_entity, tls_arguments, without_delay
from bayescope.node.outbox import wait_after
from bayescope.node.peers import ListenConfig
from bayescope.node.queue import Queue
from bayescope.node.storage import OBJECTS, Storage

NO_SUCH_OBJECT, CLASS_CONFLICT = 0x0112, 0x0119
_ALL_COMMITTED, _SOME_FAILED = 1, 2
_DAY = 86400.0


@dataclass(frozen=True)
class Request:
    """A request: who asked, from where, and SOP class and instance UID of each object."""

    transaction_uid: str
    ae_title: str
    address: str
    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Commitments:
    """The table ``commitments`` of a database, and the answers."""

    database: Database
    queue: Queue
    storage: Storage
    listen: ListenConfig
    delivery: DeliveryConfig
    journal: Journal
    clock: Callable[[], float] = time.time

    def add(self, request: Request) -> None:
        """Keep a request; one that is repeated is answered once."""
        now, items = self.clock(), json.dumps(request.items)
        with self.database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO commitments (transaction_uid, ae_title, address, items, begun, due)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (request.transaction_uid, request.ae_title, request.address, items, now, now),
            )

    def failure(self, sop_class_uid: str, sop_instance_uid: str) -> int:
        """Why an object is not committed (Failure Reason); 0 if it is on disk and in the queue."""
        found = self.queue.find(sop_instance_uid)
        if found is None or not found.file or not self.storage.path(OBJECTS, found.file).exists():
            return NO_SUCH_OBJECT
        return 0 if found.sop_class_uid == sop_class_uid else CLASS_CONFLICT

    def answer_due(self) -> int:
        """Answer the requests whose time has come; the number answered."""
        rows = self.database.rows("SELECT * FROM commitments WHERE due <= ? ORDER BY due", (self.clock(),))
        return sum(
            self._answer(
                row["id"],
                Request(
                    row["transaction_uid"], row["ae_title"], row["address"], tuple((a, b) for a, b in json.loads(row["items"]))
                ),
                row["attempts"],
                row["begun"],
            )
            for row in rows
        )

    def _answer(self, number: int, request: Request, attempts: int, begun: float) -> bool:
        failures = {item: self.failure(*item) for item in request.items}
        is_told = self._report(request, failures)
        is_late = self.clock() - begun >= self.delivery.give_up_days * _DAY
        with self.database.transaction() as connection:
            if is_told or is_late:
                connection.execute("DELETE FROM commitments WHERE id = ?", (number,))
            else:
                due = self.clock() + wait_after(attempts + 1, self.delivery)
                connection.execute("UPDATE commitments SET attempts = attempts + 1, due = ? WHERE id = ?", (due, number))
        self.journal.event(
            "storage commitment answered" if is_told else "storage commitment not answered",
            "info" if is_told else "warning",
            caller=request.ae_title,
            objects=len(failures),
            failed=sum(map(bool, failures.values())),
        )
        return is_told

    def _report(self, request: Request, failures: dict[tuple[str, str], int]) -> bool:
        """Whether the caller took the N-EVENT-REPORT."""
        caller = next((caller for caller in self.listen.callers if caller.ae_title == request.ae_title), None)
        if caller is None or caller.commitment_port is None:
            return False
        entity = application_entity(self.listen.ae_title, self.listen.timeout_s)
        entity.add_requested_context(StorageCommitmentPushModel)
        association = entity.associate(
            request.address,
            caller.commitment_port,
            ae_title=request.ae_title,
            ext_neg=[build_role(StorageCommitmentPushModel, scp_role=True, scu_role=True)],
            evt_handlers=[(evt.EVT_CONN_OPEN, without_delay)],
            **tls_arguments(caller.commitment_tls, request.address),
        )
        if not association.is_established:
            return False
        try:
            kind = _SOME_FAILED if any(failures.values()) else _ALL_COMMITTED
            status, _ = association.send_n_event_report(
                event_report(request, failures), kind, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
            )
            return bool(status) and status.Status == 0
        except (RuntimeError, ValueError):  # the context was not accepted
            return False
        finally:
            association.release()


def event_report(request: Request, failures: dict[tuple[str, str], int]) -> Dataset:
    """Event Information of Storage Commitment Result (PS3.4 table J.3-2)."""
    report = Dataset()
    report.TransactionUID = request.transaction_uid
    committed = [_item(*item) for item, failure in failures.items() if not failure]
    failed = [_item(*item) for item, failure in failures.items() if failure]
    for item, failure in zip(failed, filter(None, failures.values()), strict=True):
        item.FailureReason = failure
    if committed:
        report.ReferencedSOPSequence = committed
    if failed:
        report.FailedSOPSequence = failed
    return report


def _item(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
    return item
