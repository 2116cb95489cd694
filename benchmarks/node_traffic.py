"""Images sent to a DICOM node: phantom studies, and clients that send again what was not acknowledged."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.association import Association
from tests.mammograms import mammogram, write_mammogram

from bayescope.node.network import without_delay

PATIENCE_S = 600


def write_studies(folder: Path, instances: int, studies: int) -> list[list[Path]]:
    """Phantom mammograms, the files of each study."""
    found: list[list[Path]] = [[] for _ in range(studies)]
    names = ("PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber", "StudyID")
    for i in range(instances):
        study = i % studies
        uids = {"StudyInstanceUID": generate_uid(entropy_srcs=[str(study)])}
        uids |= {keyword: generate_uid(entropy_srcs=[keyword, str(i)]) for keyword in ("SeriesInstanceUID", "SOPInstanceUID")}
        path = write_mammogram(folder / f"{i}.dcm", mammogram(60, 40, seed=i), **dict.fromkeys(names, ""), **uids)
        data = dcmread(path)
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
        data.save_as(path, enforce_file_format=True)
        found[study].append(path)
    return found


@dataclass
class Client:
    """Sends studies over one association after the other; what was not acknowledged is sent again."""

    port: int
    studies: Sequence[Sequence[Path]]
    acknowledged: int = 0
    sent_again: int = 0
    refused: list[str] = field(default_factory=list)

    def __call__(self) -> None:
        waiting = [path for study in self.studies for path in study]
        while waiting:
            association = self._associate()
            try:
                while waiting and association.is_established:
                    if not self._store(association, waiting[0]):
                        break
                    waiting.pop(0)
            finally:
                if association.is_established:
                    association.release()
            if waiting:
                time.sleep(0.2)

    def _associate(self) -> Association:
        entity = AE("SENDER")
        entity.dimse_timeout = entity.network_timeout = 20
        data = dcmread(self.studies[0][0], stop_before_pixels=True)
        entity.add_requested_context(data.SOPClassUID, data.file_meta.TransferSyntaxUID)
        handlers: list[Any] = [(evt.EVT_CONN_OPEN, without_delay)]
        return entity.associate("127.0.0.1", self.port, ae_title="BAYESCOPE", evt_handlers=handlers)

    def _store(self, association: Association, path: Path) -> bool:
        """Whether the node acknowledged the object."""
        try:
            status = association.send_c_store(dcmread(path))
        except (RuntimeError, ValueError):
            status = None
        if status is not None and status.get("Status") == 0:
            self.acknowledged += 1
            return True
        if status is not None and "Status" in status:
            self.refused.append(f"{status.Status:04X}")
        self.sent_again += 1
        return False


@contextmanager
def sending(clients: Sequence[Client]) -> Iterator[Callable[[], bool]]:
    """Within, all clients send; the value tells whether they still do."""
    threads = [threading.Thread(target=client, daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    yield lambda: any(thread.is_alive() for thread in threads)
    for thread in threads:
        thread.join(PATIENCE_S)
