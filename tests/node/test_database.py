"""The database: transactions as a whole or not at all, versions, and damage."""

import sqlite3
from pathlib import Path

import pytest

from bayescope.errors import RunError
from bayescope.node.database import VERSION, Database


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


def test_another_version_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "q") as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(RunError, match=f"version {VERSION + 1}"):
        Database(tmp_path / "q")


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "q").write_bytes(b"x" * 4096)
    with pytest.raises(RunError, match="cannot be used as the queue"):
        Database(tmp_path / "q")
