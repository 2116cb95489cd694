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
from bayescope.node.schema import STEPS, VERSION


class Database:
    """A connection that threads share; each transaction has it alone.

    Raises RunError if the file is of another version or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.RLock()
        try:
            self._connection = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
            self._connection.row_factory = sqlite3.Row
            for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = OFF"):
                self._connection.execute(f"PRAGMA {setting}")
            with self.transaction() as connection:
                found = connection.execute("PRAGMA user_version").fetchone()[0]
                is_known = 0 <= found <= VERSION
                if is_known and found < VERSION:
                    for statement in "".join(STEPS[found:]).split(";\n"):
                        connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {VERSION}")
            self._connection.execute("PRAGMA foreign_keys = ON")
        except sqlite3.Error as error:
            raise RunError(
                f"{path}: cannot be used as the queue of a node ({error}); expected a SQLite file. Restore it from a copy, or "
                "give another folder"
            ) from None
        if not is_known:
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
