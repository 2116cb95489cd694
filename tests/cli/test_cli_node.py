"""``bayescope node``: what its commands ask for, and what they print of states that were written down."""

import json
import signal
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli.spies import answered, table_rows
from conftest import Call

NOON = 1_800_000_000.0
STATUS: dict[str, Any] = {
    "instances": {"received": 3, "skipped": 2},
    "answers": {"answered": 4},
    "combinations": {"single": 1},
    "deliveries": {},
    "answered_last_hour": 5,
    "answered_last_day": 60,
    "longest_wait_s": 12.6,
    "bytes": 34_560_000,
    "drift": {"0123456789abcdef": {"finding": "no drift", "looks": 2, "images": 400}},
    "skipped": {"no rule": 2},
    "dead_letters": [{"name": "result-1", "destination": "archive", "since": NOON, "error": "refused"}],
    "last_errors": [{"time": NOON + 60, "kind": "reading", "name": "image-1", "error": "no pixels"}],
}
pytestmark = pytest.mark.usefixtures("wide")


@pytest.fixture
def local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of Berlin."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The settings that were read; they are "settings"."""
    return answered(monkeypatch, "node.config:read_node_config", "settings")


@pytest.mark.usefixtures("local_time")
def test_the_status_is_a_table_and_lines(cli: Call, monkeypatch: pytest.MonkeyPatch, read: list[dict[str, Any]]) -> None:
    asked = answered(monkeypatch, "node.maintenance:node_status", STATUS)
    told = cli("node", "status", "--config", "node.toml")
    assert read == [{"path": Path("node.toml")}]
    assert asked[0]["config"] == "settings"
    assert table_rows(told.out) == [
        ["table", "state", "entries"],
        ["instances", "received", "3"],
        ["instances", "skipped", "2"],
        ["answers", "answered", "4"],
        ["combinations", "single", "1"],
    ]
    assert "│       3 │" in told.out, "numbers are aligned to the right"
    assert told.out.splitlines()[-6:] == [
        "Answers: 5 in the last hour, 60 in the last day",
        "Longest wait: 13 s; on disk: 34.6 MB",
        "Drift, model 0123456789ab: no drift (2 looks at 400 images)",
        "Skipped: 2, no rule",
        "Dead letter: result-1 to archive, waiting since 2027-01-15T09:00:00+01:00: refused",
        "2027-01-15T09:01:00+01:00 reading, image-1: no pixels",
    ]
    assert json.loads(cli("node", "status", "--config", "node.toml", "--json").out) == STATUS


def test_what_failed_is_tried_again(cli: Call, monkeypatch: pytest.MonkeyPatch, read: list[dict[str, Any]]) -> None:
    found = {"answers": 1, "combinations": 4, "deliveries": 2, "instances": 3}
    asked = answered(monkeypatch, "node.maintenance:requeue", found)
    told = cli("node", "requeue", "--config", "node.toml")
    assert told.out == "To be read again: 1; combined again: 4; sent again: 2; routed again: 3\n"
    assert json.loads(cli("node", "requeue", "--config", "other.toml", "--skipped", "--json").out) == found
    assert [(call["config"], call["skipped"]) for call in asked] == [("settings", False), ("settings", True)]
    assert [call["path"] for call in read] == [Path("node.toml"), Path("other.toml")]


def test_what_nothing_waits_for_is_deleted(cli: Call, monkeypatch: pytest.MonkeyPatch, read: list[dict[str, Any]]) -> None:
    found = {"instances": 1, "results": 2}
    asked = answered(monkeypatch, "node.maintenance:purge_node", found)
    assert cli("node", "purge", "--config", "node.toml").out == "Deleted: 1 images, 2 results\n"
    assert json.loads(cli("node", "purge", "--config", "other.toml", "--days", 2.5, "--json").out) == found
    assert [(call["config"], call["days"]) for call in asked] == [("settings", None), ("settings", 2.5)]
    assert [call["path"] for call in read] == [Path("node.toml"), Path("other.toml")]


@pytest.mark.parametrize("words", [("node", "run"), ("node",)])
def test_a_node_runs_until_it_is_told_to_stop(cli: Call, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    listen = SimpleNamespace(ae_title="NODE", address="127.0.0.1", port=104)
    settings = SimpleNamespace(listen=listen, poll=SimpleNamespace(url="http://x", every_s=30.0), folder=Path("kept"))
    answered(monkeypatch, "node.config:read_node_config", settings)
    handlers: dict[Any, Any] = {}
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    asked: list[Any] = []

    def run_node(config: Any, run: Path, stop: threading.Event, ready: Any) -> None:
        asked.append((config, run))
        ready()
        for number in (signal.SIGTERM, signal.SIGINT):
            assert not stop.is_set()
            handlers[number](number, None)
            assert stop.is_set()
            stop.clear()

    monkeypatch.setattr("bayescope.node.service.run_node", run_node)
    complaints = answered(monkeypatch, "cli.node:complain")
    assert cli(*words, "runs/breast", "--config", "node.toml").code == 0
    assert asked == [(settings, Path("runs/breast"))]
    places = "listening as NODE on 127.0.0.1:104, searching http://x every 30 s"
    assert complaints == [{"text": f"{places}; log and audit trail in kept; stop with Ctrl-C", "style": "dim"}]


def test_help_is_that_of_the_group(cli: Call) -> None:
    told = cli("node", "--help")
    assert (told.code, all(word in told.out for word in ("run", "status", "requeue", "purge"))) == (0, True)
    assert "requeue" in cli("node").out


def test_moments_are_in_local_time() -> None:
    from bayescope.cli.node import _moment

    assert datetime.fromisoformat(_moment(NOON)).astimezone(UTC) == datetime(2027, 1, 15, 8, tzinfo=UTC)
