"""What an administrator asks of a node's folder, whether the node runs or not: its state, requeueing and purging."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from sqlite3 import Row
from typing import Any

from bayescope.errors import RunError
from bayescope.node.config import NodeConfig
from bayescope.node.database import Database
from bayescope.node.drift import drift_summaries
from bayescope.node.journal import Journal, Pseudonyms
from bayescope.node.storage import OBJECTS, RESULTS, Storage

DATABASE = "queue.sqlite"
TABLES = ("instances", "answers", "combinations", "deliveries")
_DAY, _HOUR = 86400.0, 3600.0
_LAST_ERRORS = 10
_SETTLED = """
    SELECT instances.id FROM instances WHERE state != 'received' AND changed < :before
    AND NOT EXISTS (
        SELECT 1 FROM answers LEFT JOIN results ON answer_id = answers.id LEFT JOIN deliveries ON result_id = results.id
        WHERE instance_id = instances.id
        AND (answers.state IN ('queued', 'working') OR answers.changed >= :before
             OR deliveries.state = 'waiting' OR deliveries.changed >= :before)
    ) AND NOT EXISTS (
        SELECT 1 FROM combinations
        LEFT JOIN results ON combination_id = combinations.id LEFT JOIN deliveries ON result_id = results.id
        WHERE combinations.study_instance_uid = instances.study_instance_uid
        AND (combinations.state IN ('waiting', 'working') OR combinations.changed >= :before
             OR deliveries.state = 'waiting' OR deliveries.changed >= :before)
    )
"""
"""Instances that nothing waits for, and that nothing has happened to since a time, nor to the study as a whole."""
_LEFT = "FROM combinations WHERE study_instance_uid NOT IN (SELECT study_instance_uid FROM instances)"
"""Combinations of studies of which no image is left."""
_ANSWERED = "SELECT COUNT(*) FROM answers WHERE state = 'answered' AND changed >= ?"
_SKIPPED = "SELECT reason, COUNT(*) AS count FROM instances WHERE state = 'skipped' GROUP BY reason ORDER BY count DESC"
_OLDEST = """
    SELECT MIN(received) FROM instances LEFT JOIN answers ON instance_id = instances.id
    WHERE instances.state = 'received' OR answers.state IN ('queued', 'working')
"""
_DEAD = """
    SELECT sop_instance_uid AS uid, destination, attempts, begun AS since, error
    FROM deliveries JOIN results ON results.id = result_id WHERE deliveries.state = 'dead' ORDER BY begun
"""
_ERRORS = """
    SELECT 'reading' AS kind, sop_instance_uid AS uid, answers.changed AS time, error
    FROM answers JOIN instances ON instances.id = instance_id WHERE error != ''
    UNION ALL SELECT 'combining', study_instance_uid, changed, error FROM combinations WHERE error != ''
    UNION ALL SELECT 'sending to ' || destination, sop_instance_uid, changed, error
    FROM deliveries JOIN results ON results.id = result_id WHERE error != '' ORDER BY time DESC LIMIT ?
"""


def counts(database: Database) -> dict[str, dict[str, int]]:
    """How many entries each table has in each state."""
    return {
        table: dict(map(tuple, database.rows(f"SELECT state, COUNT(*) FROM {table} GROUP BY state ORDER BY state")))
        for table in TABLES
    }


@contextmanager
def open_database(config: NodeConfig) -> Iterator[Database]:
    """The database of a node.  Raises RunError if there is none yet."""
    path = config.folder / DATABASE
    if not path.exists():
        raise RunError(f"{path}: no queue; expected the folder of a node. Start it once: `bayescope node RUN --config FILE`")
    database = Database(path)
    try:
        yield database
    finally:
        database.close()


def node_status(config: NodeConfig, clock: Callable[[], float] = time.time) -> dict[str, Any]:
    """The state of a node.

    Parameters
    ----------
    config : NodeConfig
        Its settings.
    clock : callable, optional
        Seconds since the epoch (default: now).

    Returns
    -------
    dict
        Entries by table and state; requests of Storage Commitment to be answered; skipped images by reason; answers in the last
        hour and day; for how long something has waited to be read, s; bytes on disk; drift by model; dead letters; and the last
        errors, newest first.  Images and results are named by their pseudonyms.

    Raises
    ------
    RunError
        If there is no queue in its folder.
    """
    now = clock()
    with open_database(config) as database:
        pseudonyms = Pseudonyms.of_folder(config.folder)

        def number(query: str, *values: float) -> Any:
            return database.rows(query, values)[0][0]

        def named(rows: list[Row]) -> list[dict[str, Any]]:
            return [{"name": pseudonyms(row["uid"]), **{key: row[key] for key in row.keys() if key != "uid"}} for row in rows]  # noqa: SIM118

        oldest = number(_OLDEST)
        return {
            **counts(database),
            "commitments": number("SELECT COUNT(*) FROM commitments"),
            "skipped": {row["reason"]: row["count"] for row in database.rows(_SKIPPED)},
            "answered_last_hour": number(_ANSWERED, now - _HOUR),
            "answered_last_day": number(_ANSWERED, now - _DAY),
            "longest_wait_s": 0.0 if oldest is None else now - oldest,
            "bytes": Storage(config.folder).used_bytes(),
            "drift": drift_summaries(database),
            "dead_letters": named(database.rows(_DEAD)),
            "last_errors": named(database.rows(_ERRORS, (_LAST_ERRORS,))),
        }


def requeue(config: NodeConfig, skipped: bool = False, clock: Callable[[], float] = time.time) -> dict[str, int]:
    """Have a node try again what failed: images that could not be read, studies not combined, and dead letters.

    Parameters
    ----------
    config : NodeConfig
        Its settings.
    skipped : bool, default False
        Also route again the images that were skipped, by rules that may have changed.
    clock : callable, optional
        Seconds since the epoch (default: now).

    Returns
    -------
    dict
        How many images are read again, ``"answers"``, studies combined again, ``"combinations"``, results sent again,
        ``"deliveries"``, and images routed again, ``"instances"``.

    Raises
    ------
    RunError
        If there is no queue in its folder.
    """
    now = clock()
    with open_database(config) as database, database.transaction() as connection:
        answers = connection.execute(
            "UPDATE answers SET state = 'queued', attempts = 0, error = '', changed = ? WHERE state = 'failed'", (now,)
        ).rowcount
        combinations = connection.execute(
            "UPDATE combinations SET state = 'waiting', attempts = 0, error = '', changed = ? WHERE state = 'failed'", (now,)
        ).rowcount
        deliveries = connection.execute(
            "UPDATE deliveries SET state = 'waiting', attempts = 0, begun = ?, due = ?, changed = ? WHERE state = 'dead'",
            (now, now, now),
        ).rowcount
        instances = 0
        if skipped:
            instances = connection.execute(
                "UPDATE instances SET state = 'received', reason = '', changed = ? WHERE state = 'skipped' AND file != ''",
                (now,),
            ).rowcount
    return {"answers": answers, "combinations": combinations, "deliveries": deliveries, "instances": instances}


def purge_node(config: NodeConfig, days: float | None = None) -> dict[str, int]:
    """Delete the images and results that a node is done with.

    Parameters
    ----------
    config : NodeConfig
        Its settings.
    days : float, optional
        Only those that nothing has happened to for so many days (default: the retention configured).

    Returns
    -------
    dict
        How many images, ``"instances"``, and results, ``"results"``, were deleted.

    Raises
    ------
    RunError
        If there is no queue in its folder.
    """
    days = config.retention.days if days is None else days
    with open_database(config) as database:
        journal = Journal(config.folder, config.ae_title, Pseudonyms.of_folder(config.folder))
        return purge(database, Storage(config.folder), journal, days)


def purge(
    database: Database, storage: Storage, journal: Journal, days: float, clock: Callable[[], float] = time.time
) -> dict[str, int]:
    """Delete what nothing waits for and nothing has happened to for so many days: files, then rows, in one transaction.

    Dead letters and images that failed go too; what waits stays, however old.
    """
    with database.transaction() as connection:
        connection.execute("CREATE TEMP TABLE IF NOT EXISTS settled (id INTEGER PRIMARY KEY)")
        connection.execute("DELETE FROM settled")
        connection.execute(f"INSERT INTO settled {_SETTLED}", {"before": clock() - days * _DAY})
        results = connection.execute(
            "SELECT results.file FROM results JOIN answers ON answers.id = answer_id WHERE instance_id IN settled"
        ).fetchall()
        instances = connection.execute("SELECT file, study_instance_uid FROM instances WHERE id IN settled").fetchall()
        connection.execute("DELETE FROM instances WHERE id IN settled")
        results += connection.execute(f"SELECT file FROM results WHERE combination_id IN (SELECT id {_LEFT})").fetchall()
        connection.execute(f"DELETE {_LEFT}")
        storage.remove(RESULTS, [row["file"] for row in results])
        storage.remove(OBJECTS, [row["file"] for row in instances if row["file"]])
    if instances:
        studies = sorted({row["study_instance_uid"] for row in instances})
        journal.audit("DICOM Study Deleted", "D", studies=studies, objects=len(instances))
        journal.event("purged", images=len(instances), results=len(results))
    return {"instances": len(instances), "results": len(results)}
