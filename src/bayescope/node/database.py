"""The database of a node: one SQLite file whose transactions are on disk once they are committed.

Write-ahead logging with ``synchronous = FULL``.  Other processes, such as ``bayescope node status``, may use it meanwhile.
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from bayescope.errors import RunError

VERSION = 2
_DRIFT = """
CREATE TABLE drift (
    model TEXT PRIMARY KEY,          -- fingerprint
    state TEXT NOT NULL,             -- JSON of DriftWatch.to_dict: numbers and pseudonyms
    summary TEXT NOT NULL            -- JSON of DriftWatch.summary
);
"""
_SCHEMA = """
CREATE TABLE instances (
    id INTEGER PRIMARY KEY,
    sop_instance_uid TEXT NOT NULL UNIQUE,
    sop_class_uid TEXT NOT NULL,
    study_instance_uid TEXT NOT NULL,
    file TEXT NOT NULL,              -- name in objects/, blank if none was kept
    source TEXT NOT NULL,            -- calling AE title, or address of the DICOMweb server
    state TEXT NOT NULL,             -- received, routed, skipped
    reason TEXT NOT NULL DEFAULT '',
    received REAL NOT NULL,
    changed REAL NOT NULL
);
CREATE TABLE answers (
    id INTEGER PRIMARY KEY,
    instance_id INTEGER NOT NULL REFERENCES instances ON DELETE CASCADE,
    model TEXT NOT NULL,             -- fingerprint
    state TEXT NOT NULL,             -- queued, working, answered, failed
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    changed REAL NOT NULL,
    UNIQUE (instance_id, model)
);
CREATE TABLE results (
    id INTEGER PRIMARY KEY,
    answer_id INTEGER NOT NULL REFERENCES answers ON DELETE CASCADE,
    sop_instance_uid TEXT NOT NULL UNIQUE,
    file TEXT NOT NULL               -- name in results/
);
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY,
    result_id INTEGER NOT NULL REFERENCES results ON DELETE CASCADE,
    destination TEXT NOT NULL,
    state TEXT NOT NULL,             -- waiting, sent, dead
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    begun REAL NOT NULL,             -- since when it waits
    due REAL NOT NULL,               -- when to try next
    changed REAL NOT NULL,
    UNIQUE (result_id, destination)
);
CREATE TABLE commitments (
    id INTEGER PRIMARY KEY,
    transaction_uid TEXT NOT NULL,
    ae_title TEXT NOT NULL,
    address TEXT NOT NULL,
    items TEXT NOT NULL,             -- JSON: [SOP Class UID, SOP Instance UID] of each object
    attempts INTEGER NOT NULL DEFAULT 0,
    begun REAL NOT NULL,
    due REAL NOT NULL,
    UNIQUE (ae_title, transaction_uid)
);
CREATE TABLE studies (
    study_instance_uid TEXT PRIMARY KEY,
    instances INTEGER NOT NULL       -- as many as the server had when they were fetched
);
CREATE INDEX instances_by_state ON instances (state);
CREATE INDEX answers_by_state ON answers (state);
CREATE INDEX answers_by_instance ON answers (instance_id);
CREATE INDEX results_by_answer ON results (answer_id);
CREATE INDEX deliveries_by_state ON deliveries (destination, state, due);
"""
_MISSING = {0: _SCHEMA + _DRIFT, 1: _DRIFT, VERSION: ""}
"""What a file of each version lacks, 0 being a new one."""


class Database:
    """A connection that threads share; each transaction has it alone.

    Raises RunError if the file is of another version or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.RLock()
        try:
            self._connection = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
            self._connection.row_factory = sqlite3.Row
            for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                self._connection.execute(f"PRAGMA {setting}")
            with self.transaction() as connection:
                found = connection.execute("PRAGMA user_version").fetchone()[0]
                for statement in _MISSING.get(found, "").split(";\n"):
                    connection.execute(statement)
                if found in _MISSING:
                    connection.execute(f"PRAGMA user_version = {VERSION}")
        except sqlite3.Error as error:
            raise RunError(
                f"{path}: cannot be used as the queue of a node ({error}); expected a SQLite file. Restore it from a copy, or "
                "give another folder"
            ) from None
        if found not in _MISSING:
            raise RunError(
                f"{path}: queue of version {found}; this version of Bayescope reads version {VERSION}. Give another folder, or "
                "let the version that wrote it finish"
            )

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; on disk when it is left.  Raises RunError if the disk is full or fails."""
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except sqlite3.OperationalError as error:
                self._undo()
                raise RunError(
                    f"{self._path}: cannot be written ({error}); expected free space and a file that no program keeps locked. "
                    "What was written before is intact"
                ) from None
            except BaseException:
                self._undo()
                raise

    def _undo(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """All rows of a query."""
        with self._lock, closing(self._connection.execute(query, values)) as cursor:
            return cursor.fetchall()

    def close(self) -> None:
        """No more is asked of it."""
        with self._lock:
            self._connection.close()
