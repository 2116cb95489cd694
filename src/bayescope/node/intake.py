"""Acceptance of an image: written to disk, checked, queued; after that it is not lost."""

from dataclasses import dataclass
from pathlib import Path

from bayescope.data.formats.dicom import check_image
from bayescope.errors import MismatchError
from bayescope.node.journal import Pseudonyms
from bayescope.node.queue import Instance, Queue
from bayescope.node.storage import OBJECTS, Storage

_UIDS = ("SOPInstanceUID", "SOPClassUID", "StudyInstanceUID")


@dataclass(frozen=True)
class Intake:
    """Where accepted images go."""

    storage: Storage
    queue: Queue
    pseudonyms: Pseudonyms

    def accept(self, content: bytes, source: str, announced: tuple[str, str] | None = None) -> tuple[Instance, bool]:
        """Keep and queue a DICOM file; whether it is new.

        Parameters
        ----------
        content : bytes
            The file, with its File Meta Information.
        source : str
            Who sent it.
        announced : tuple of str, optional
            SOP Instance UID and SOP Class UID that it was announced under.

        Returns
        -------
        tuple of Instance and bool
            The image, which is on disk and in the queue.

        Raises
        ------
        DataError
            If it is no image that can be read; a MismatchError if its UIDs are missing or not as announced.
        RunError
            If it cannot be written.
        """
        with self.storage.part(OBJECTS, content) as part:
            header = check_image(part)
            instance_uid, class_uid, study_uid = (str(header.get(keyword) or "") for keyword in _UIDS)
            is_whole = all((instance_uid, class_uid, study_uid))
            if not is_whole or (announced is not None and announced != (instance_uid, class_uid)):
                raise MismatchError(
                    f"{part.name}: SOP Instance, SOP Class or Study Instance UID missing or not as announced; expected each. "
                    "Export it again"
                )
            name = f"{self.pseudonyms(instance_uid)}.dcm"
            instance = Instance(instance_uid, class_uid, study_uid, name, source)
            return instance, self.queue.add(instance, keep=lambda: self._keep(part, name))

    def _keep(self, part: Path, name: str) -> None:
        """Objects of one UID are the same object (PS3.5 section 9): the first is kept."""
        if not self.storage.path(OBJECTS, name).exists():
            self.storage.keep(part, OBJECTS, name)
