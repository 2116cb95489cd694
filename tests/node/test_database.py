"""The database: transactions as a whole or not at all, versions, and damage."""

import sqlite3
from pathlib import Path

import pytest

from bayescope.errors import RunError
from bayescope.node.config import DeliveryConfig
from bayescope.node.database import Database
from bayescope.node.outbox import Outbox
from bayescope.node.queue import Queue
from bayescope.node.schema import STEPS, VERSION


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "q")

    def fail() -> None:
        with database.transaction() as connection:
            connection.execute("INSERT INTO studies VALUES ('1.2', 3)")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert database.rows("SELECT * FROM studies") == []
    with database.transaction() as connection:
        connection.execute("INSERT INTO studies VALUES ('1.2', 3)")
    assert [tuple(row) for row in Database(tmp_path / "q").rows("SELECT * FROM studies")] == [("1.2", 3)]


def test_it_is_durable(tmp_path: Path) -> None:
    database = Database(tmp_path / "q")
    settings = [database.rows(f"PRAGMA {name}")[0][0] for name in ("journal_mode", "synchronous", "foreign_keys")]
    assert settings == ["wal", 2, 1]


@pytest.mark.parametrize("version", [VERSION + 1, -1])
def test_another_version_is_refused(tmp_path: Path, version: int) -> None:
    with sqlite3.connect(tmp_path / "q") as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(RunError, match=f"version {version}"):
        Database(tmp_path / "q")


@pytest.fixture
def of_version_2(tmp_path: Path) -> Path:
    """A queue that version 2 wrote: of four images one was answered, and one of its two results sent to one of two places."""
    with sqlite3.connect(tmp_path / "q") as connection:
        connection.executescript(Path(__file__).with_name("queue_of_version_2.sql").read_text())
    return tmp_path / "q"


def test_a_queue_of_version_2_is_kept_whole(of_version_2: Path) -> None:
    tables = ("instances", "answers", "results", "deliveries", "commitments", "studies", "drift")
    with sqlite3.connect(of_version_2) as connection:
        before = {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
    assert [len(rows) for rows in before.values()] == [4, 3, 2, 4, 1, 1, 1]
    before["results"] = [(number, answer, None, uid, file) for number, answer, uid, file in before["results"]]
    for _ in range(2):  # the second finds the version that the first wrote
        database = Database(of_version_2)
        assert {table: list(map(tuple, database.rows(f"SELECT * FROM {table}"))) for table in tables} == before
        assert database.rows("PRAGMA foreign_key_check") == database.rows("SELECT * FROM combinations") == []
        database.close()


def test_a_queue_of_version_2_is_worked_on(of_version_2: Path) -> None:
    database = Database(of_version_2)
    assert [delivery.file for delivery in Outbox(database, DeliveryConfig()).due("other")] == ["r0.dcm", "r1.dcm"]
    assert [task.instance.sop_instance_uid for task in Queue(database).claim("a", 9)] == ["1.2"]
    with database.transaction() as connection:
        connection.execute("DELETE FROM instances")
    assert database.rows("SELECT * FROM results") == database.rows("SELECT * FROM deliveries") == []


def test_a_new_queue_is_as_one_of_version_2_has_become(of_version_2: Path, tmp_path: Path) -> None:
    schema = "SELECT type, name, sql FROM sqlite_schema ORDER BY type, name"
    new, old = (list(map(tuple, Database(path).rows(schema))) for path in (tmp_path / "new", of_version_2))
    assert new == old


def test_a_step_that_fails_leaves_the_queue_as_it_was(of_version_2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a node that is killed meanwhile does."""
    with monkeypatch.context() as patch:
        patch.setattr("bayescope.node.database.STEPS", (*STEPS[:2], f"{STEPS[2]}INSERT INTO nowhere VALUES (1);\n"))
        with pytest.raises(RunError, match="nowhere"):
            Database(of_version_2)
    assert len(Database(of_version_2).rows("SELECT * FROM deliveries")) == 4


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "q").write_bytes(b"x" * 4096)
    with pytest.raises(RunError, match="cannot be used as the queue"):
        Database(tmp_path / "q")
