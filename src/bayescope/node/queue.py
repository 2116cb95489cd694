"""The queue of a node: images received, which models are to read them, and what came of it.

An image is ``received``, then ``routed`` to models or ``skipped``.  Its answer by each model is ``queued``, ``working``, and
``answered`` or ``failed``.  There is one answer for each image and model, however often the image is sent.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from sqlite3 import Connection, Row
from typing import Self

from bayescope.node.database import Database


@dataclass(frozen=True)
class Instance:
    """An image: its UIDs, the name of its file (blank if it was not kept) and who sent it."""

    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    file: str
    source: str

    @classmethod
    def of(cls, row: Row) -> Self:
        """From a row of the table of instances."""
        return cls(*(row[name] for name in cls.__dataclass_fields__))


@dataclass(frozen=True)
class Received:
    """An image that waits for its route."""

    id: int
    instance: Instance


@dataclass(frozen=True)
class Task:
    """An image that a model is to read; ``attempts``: at which the node was killed before."""

    id: int
    model: str
    instance: Instance
    attempts: int


@dataclass(frozen=True)
class Result:
    """A DICOM object that was made of an image or of several, and the name of its file."""

    sop_instance_uid: str
    file: str


def add_results(
    connection: Connection, owner: str, number: int, results: Iterable[Result], destinations: Iterable[str], now: float
) -> None:
    """Record results, and that they are to be sent; ``owner``: the column that says what they are of, ``number``."""
    places = tuple(destinations)
    for result in results:
        connection.execute(
            f"INSERT OR IGNORE INTO results ({owner}, sop_instance_uid, file) VALUES (?, ?, ?)",
            (number, result.sop_instance_uid, result.file),
        )
        connection.executemany(
            "INSERT OR IGNORE INTO deliveries (result_id, destination, state, begun, due, changed)"
            " SELECT id, ?, 'waiting', ?, ?, ? FROM results WHERE sop_instance_uid = ?",
            [(place, now, now, now, result.sop_instance_uid) for place in places],
        )


class Queue:
    """The tables ``instances``, ``answers`` and ``results`` of a database."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database, self._clock = database, clock

    def add(self, instance: Instance, reason: str = "", keep: Callable[[], None] = lambda: None) -> bool:
        """Queue an image, or record the ``reason`` why it is skipped; whether it is new.

        One that is known is routed again: a model that has not read it will.  ``keep`` puts its file in place, while nobody
        can purge.
        """
        state, now = "skipped" if reason else "received", self._clock()
        with self._database.transaction() as connection:
            keep()
            known = connection.execute(
                "SELECT file FROM instances WHERE sop_instance_uid = ?", (instance.sop_instance_uid,)
            ).fetchone()
            if known is None:
                values = (*(getattr(instance, name) for name in Instance.__dataclass_fields__), state, reason, now, now)
                connection.execute(
                    "INSERT INTO instances (sop_instance_uid, sop_class_uid, study_instance_uid, file, source, state, reason,"
                    " received, changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    values,
                )
            elif instance.file:
                connection.execute(
                    "UPDATE instances SET state = 'received', reason = '', file = ?, changed = ? WHERE sop_instance_uid = ?",
                    (instance.file, now, instance.sop_instance_uid),
                )
        return known is None

    def find(self, sop_instance_uid: str) -> Instance | None:
        """An image that the queue knows."""
        rows = self._database.rows("SELECT * FROM instances WHERE sop_instance_uid = ?", (sop_instance_uid,))
        return Instance.of(rows[0]) if rows else None

    def is_result(self, sop_instance_uid: str) -> bool:
        """Whether the node made this object itself."""
        return bool(self._database.rows("SELECT 1 FROM results WHERE sop_instance_uid = ?", (sop_instance_uid,)))

    def received(self, limit: int) -> list[Received]:
        """Images that wait for their route, the first received first."""
        rows = self._database.rows("SELECT * FROM instances WHERE state = 'received' ORDER BY id LIMIT ?", (limit,))
        return [Received(row["id"], Instance.of(row)) for row in rows]

    def route(self, number: int, models: Iterable[str]) -> None:
        """Have an image read by models, those excepted that have read it or are to."""
        now = self._clock()
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO answers (instance_id, model, state, changed) VALUES (?, ?, 'queued', ?)",
                [(number, model, now) for model in models],
            )
            connection.execute("UPDATE instances SET state = 'routed', changed = ? WHERE id = ?", (now, number))

    def skip(self, number: int, reason: str) -> None:
        """Record why an image is not read."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE instances SET state = 'skipped', reason = ?, changed = ? WHERE id = ?", (reason, self._clock(), number)
            )

    def claim(self, model: str, limit: int) -> list[Task]:
        """Images that a model is to read now; one during whose reading the node was killed comes last, and alone."""
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT instances.*, answers.id AS answer, attempts FROM answers JOIN instances ON instances.id = instance_id"
                " WHERE model = ? AND answers.state = 'queued' ORDER BY attempts, answers.id LIMIT ?",
                (model, limit),
            ).fetchall()
            fresh = [row for row in rows if not row["attempts"]] or rows[:1]
            connection.executemany(
                "UPDATE answers SET state = 'working', attempts = attempts + 1, changed = ? WHERE id = ?",
                [(self._clock(), row["answer"]) for row in fresh],
            )
        return [Task(row["answer"], model, Instance.of(row), row["attempts"]) for row in fresh]

    def answer(self, task: Task, results: Sequence[Result], destinations: Iterable[str], is_combined: bool = False) -> None:
        """Record the results of an image, that they are to be sent, and whether its study is to be combined with it."""
        now = self._clock()
        with self._database.transaction() as connection:
            connection.execute("UPDATE answers SET state = 'answered', error = '', changed = ? WHERE id = ?", (now, task.id))
            add_results(connection, "answer_id", task.id, results, destinations, now)
            if is_combined:
                connection.execute(
                    "INSERT INTO combinations (study_instance_uid, model, state, changed) VALUES (?, ?, 'waiting', ?)"
                    " ON CONFLICT DO UPDATE SET state = 'waiting', attempts = 0, error = '', changed = excluded.changed",
                    (task.instance.study_instance_uid, task.model, now),
                )

    def fail(self, task: Task, error: str, is_combined: bool = False) -> None:
        """Record why an image could not be read; if its study was combined before, it is to be again, to say so."""
        now = self._clock()
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE answers SET state = 'failed', error = ?, changed = ? WHERE id = ?", (error, now, task.id)
            )
            if is_combined:
                connection.execute(
                    "UPDATE combinations SET state = 'waiting', attempts = 0, error = '', changed = ?"
                    " WHERE study_instance_uid = ? AND model = ?",
                    (now, task.instance.study_instance_uid, task.model),
                )

    def release(self, tasks: Iterable[Task]) -> None:
        """Queue again what was claimed and not read, through no fault of the images."""
        with self._database.transaction() as connection:
            connection.executemany(
                "UPDATE answers SET state = 'queued', attempts = ? WHERE id = ?", [(task.attempts, task.id) for task in tasks]
            )

    def recover(self, attempts: int) -> int:
        """Queue again what a killed node was reading, the number of it; what was tried so often has failed."""
        with self._database.transaction() as connection:
            now = self._clock()
            connection.execute(
                "UPDATE answers SET state = 'failed', error = ?, changed = ? WHERE state = 'working' AND attempts >= ?",
                (f"the node was killed {attempts} times while it read this image", now, attempts),
            )
            return connection.execute("UPDATE answers SET state = 'queued' WHERE state = 'working'").rowcount

    def files(self) -> tuple[set[str], set[str]]:
        """Names of the files of all objects and of all results."""
        names = [{row[0] for row in self._database.rows(f"SELECT file FROM {table}")} for table in ("instances", "results")]
        return names[0], names[1]
