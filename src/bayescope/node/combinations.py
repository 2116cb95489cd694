"""Studies whose images are to be combined: which are complete, and what came of them.

A study waits, for each model, once an image of it is answered.  It is complete when no new image of it came for a quiet time
and none of it is still to be routed or read.  Then it is ``working``, and ``combined``, or ``single`` where no two of its
images belong together, or ``failed``.  An image that is answered or fails afterwards makes it wait again.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from sqlite3 import Connection

from bayescope.node.database import Database
from bayescope.node.queue import Instance, Result, add_results

_COMPLETE = """
    SELECT * FROM combinations WHERE model = ? AND state = 'waiting' AND NOT EXISTS (
        SELECT 1 FROM instances LEFT JOIN answers ON instance_id = instances.id AND answers.model = combinations.model
        WHERE instances.study_instance_uid = combinations.study_instance_uid
        AND (received > ? OR instances.state = 'received' OR answers.state IN ('queued', 'working'))
    ) ORDER BY attempts, id LIMIT 1
"""
_IMAGES = """
    SELECT instances.* FROM instances CROSS JOIN answers ON instance_id = instances.id
    WHERE study_instance_uid = ? AND model = ? AND answers.state = ? ORDER BY sop_instance_uid
"""
"""``CROSS``: from the images of the study to their answers; SQLite would go through all answers of that state."""


@dataclass(frozen=True)
class Study:
    """A study to be combined: the images that a model answered, in order of their UIDs, and those that it could not read.

    ``attempts``: at which the node was killed before.
    """

    id: int
    study_instance_uid: str
    answered: tuple[Instance, ...]
    failed: tuple[Instance, ...]
    attempts: int


class Combinations:
    """The table ``combinations`` of a database; studies are complete after ``quiet_s`` without a new image."""

    def __init__(self, database: Database, quiet_s: float, clock: Callable[[], float] = time.time) -> None:
        self._database, self._quiet_s, self._clock = database, quiet_s, clock

    def claim(self, model: str) -> Study | None:
        """A complete study for a model to combine now; those during which the node was killed come last."""
        now = self._clock()
        with self._database.transaction() as connection:
            row = connection.execute(_COMPLETE, (model, now - self._quiet_s)).fetchone()
            if row is None:
                return None
            connection.execute(
                "UPDATE combinations SET state = 'working', attempts = attempts + 1, changed = ? WHERE id = ?", (now, row["id"])
            )
            uid = row["study_instance_uid"]
            answered, failed = (
                tuple(map(Instance.of, connection.execute(_IMAGES, (uid, model, state)))) for state in ("answered", "failed")
            )
        return Study(row["id"], uid, answered, failed, row["attempts"])

    def record(self, study: Study, results: Sequence[Result], destinations: Iterable[str]) -> None:
        """Record the results of a study, and that they are to be sent."""
        now, state = self._clock(), "combined" if results else "single"
        with self._database.transaction() as connection:
            _end(connection, study, state, "", now)
            add_results(connection, "combination_id", study.id, results, destinations, now)

    def fail(self, study: Study, error: str) -> None:
        """Record why a study could not be combined."""
        with self._database.transaction() as connection:
            _end(connection, study, "failed", error, self._clock())

    def release(self, study: Study) -> None:
        """Have a study wait again, which was claimed and not combined through no fault of its images."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE combinations SET state = 'waiting', attempts = ? WHERE id = ?", (study.attempts, study.id)
            )

    def recover(self, attempts: int, models: Iterable[str]) -> int:
        """Have what a killed node was combining wait again, the number of it.

        What was tried so often has failed, and so has what waits for another model than ``models``, which would wait for ever.
        """
        known = tuple(models)
        with self._database.transaction() as connection:
            now = self._clock()
            connection.execute(
                "UPDATE combinations SET state = 'failed', error = ?, changed = ? WHERE state = 'working' AND attempts >= ?",
                (f"the node was killed {attempts} times while it combined this study", now, attempts),
            )
            connection.execute(
                "UPDATE combinations SET state = 'failed', error = 'the node no longer combines by this model', changed = ?"
                f" WHERE state IN ('waiting', 'working') AND model NOT IN ({', '.join('?' * len(known))})",
                (now, *known),
            )
            return connection.execute("UPDATE combinations SET state = 'waiting' WHERE state = 'working'").rowcount


def _end(connection: Connection, study: Study, state: str, error: str, now: float) -> None:
    connection.execute("UPDATE combinations SET state = ?, error = ?, changed = ? WHERE id = ?", (state, error, now, study.id))
