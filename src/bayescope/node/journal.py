"""Records of a node without patient data: a log, and an audit trail under the message names of DICOM PS3.15 A.5.

Both are files of JSON lines.  UIDs appear as an HMAC with the site's key: who has the key can look up an image, nobody else can
tell which it is.
"""

import hashlib
import hmac
import json
import logging
import secrets
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any, Self

from bayescope.errors import BayescopeError, RunError, reading
from bayescope.runs.files import write_atomically

LOG, AUDIT, SITE_KEY = "node.jsonl", "audit.jsonl", "site.key"
_KEY_BYTES = 32

MESSAGES = {
    "Application Activity": "110100",
    "Begin Transferring DICOM Instances": "110102",
    "DICOM Instances Accessed": "110103",
    "DICOM Instances Transferred": "110104",
    "DICOM Study Deleted": "110105",
    "Query": "110112",
    "Security Alert": "110113",
}
"""Audit messages that a node writes, and their codes (DCM, CID 400)."""

EVENT_TYPES = {"Application Start": "110120", "Application Stop": "110121", "Node Authentication": "110126"}
"""Their types, where they have one (DCM, CID 401)."""


class Pseudonyms:
    """UIDs as an HMAC-SHA256 with the key of a site, in 32 hexadecimal digits."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """With the key kept in a folder, which is made if there is none.  Raises RunError if it is damaged."""
        path = folder / SITE_KEY
        with reading(path, RunError):
            is_there = path.exists()
        if not is_there:
            write_atomically(path, secrets.token_bytes(_KEY_BYTES))
            path.chmod(0o600)
        with reading(path, RunError):
            key = path.read_bytes()
        if len(key) != _KEY_BYTES:
            raise RunError(
                f"{path}: {len(key)} bytes; expected a key of {_KEY_BYTES}. Restore it from a copy: files are named by it"
            )
        return cls(key)

    def __call__(self, uid: str) -> str:
        return hmac.new(self._key, uid.encode(), hashlib.sha256).hexdigest()[:32]


class Journal:
    """The log and the audit trail of a node, in a folder; the system may rotate both files."""

    def __init__(self, folder: Path, ae_title: str, pseudonyms: Pseudonyms) -> None:
        self._ae_title, self._pseudonyms = ae_title, pseudonyms
        self._log, self._audit = (_lines(folder / name) for name in (LOG, AUDIT))

    def event(self, name: str, level: str = "info", **fields: Any) -> None:
        """A line of the log; values under ``instance``, ``study`` or ``result`` are UIDs, and written as pseudonyms."""
        self._write(self._log, {"level": level, "event": name, **fields})

    def audit(self, message: str, action: str, *, type_: str = "", success: bool = True, **fields: Any) -> None:
        """An audit message.

        ``action`` is C, R, U, D or E, for create, read, update, delete or execute.  The outcome is 0, success, or 8, serious
        failure.  Fields as those of :meth:`event`.
        """
        kind = {"event_type": _code(type_, EVENT_TYPES)} if type_ else {}
        self._write(
            self._audit,
            {
                "event_id": _code(message, MESSAGES),
                **kind,
                "action": action,
                "outcome": 0 if success else 8,
                "node": self._ae_title,
                **fields,
            },
        )

    def _write(self, target: logging.Logger, record: dict[str, Any]) -> None:
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        target.info(json.dumps({"time": time, **{name: self._hidden(name, value) for name, value in record.items()}}))

    def _hidden(self, name: str, value: Any) -> Any:
        if name == "studies":
            return [self._pseudonyms(uid) for uid in value]
        return self._pseudonyms(value) if name in ("instance", "study", "result") and value else value


def describe(error: BaseException) -> str:
    """What may be kept of an error: the text of Bayescope's own, which quote no patient.

    Of others, and of what Bayescope quotes of others, only the kind: they may quote anything in a file.
    """
    if not isinstance(error, BayescopeError):
        return type(error).__name__
    cause = error.__cause__ or error.__context__ or error
    return str(error) if isinstance(cause, BayescopeError | OSError) else type(cause).__name__


def _code(name: str, codes: dict[str, str]) -> dict[str, str]:
    return {"code": codes[name], "scheme": "DCM", "meaning": name}


def _lines(path: Path) -> logging.Logger:
    """A logger of its own, outside the hierarchy of loggers, to a file that is opened again when it was moved."""
    logger = logging.Logger(path.name)
    logger.addHandler(WatchedFileHandler(path, encoding="utf-8"))
    return logger
