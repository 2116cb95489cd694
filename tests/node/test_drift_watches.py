"""Drift of what a node reads: counted once a study, kept over restarts, shown and measured."""

import json
import sqlite3
from pathlib import Path

from bayescope.inference.drift import DriftTest, Observation
from bayescope.node.database import Database
from bayescope.node.drift import DriftWatches, drift_summaries
from bayescope.node.journal import LOG, Journal, Pseudonyms
from bayescope.node.maintenance import node_status
from bayescope.node.schema import STEPS
from nodes import FakeReader, image_file, node_config, running, send, until

MODEL = FakeReader().model


def watches(folder: Path, database: Database) -> DriftWatches:
    journal = Journal(folder, "NODE", Pseudonyms.of_folder(folder))
    return DriftWatches(database, {MODEL: DriftTest(99, None, window=20)}, journal)


def test_what_is_known_outlives_the_node(tmp_path: Path) -> None:
    database = Database(tmp_path / "q")
    first = watches(tmp_path, database)
    for i in range(15):
        first.add(MODEL, Observation(f"{i}", 0.01, ()))
    database.close()
    database = Database(tmp_path / "q")
    second = watches(tmp_path, database)
    second.add(MODEL, Observation("3", 0.01, ()))
    assert drift_summaries(database)[MODEL]["images"] == 15
    for i in range(15, 20):
        second.add(MODEL, Observation(f"{i}", 0.01, ()))
    assert drift_summaries(database)[MODEL]["novelty_alarm"]
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [(line["event"], line["level"], line["looks"]) for line in lines] == [("drift looked for", "warning", 1)]


def test_a_database_of_before_drift_was_watched_is_read(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "q") as old:
        old.executescript(f"{STEPS[0]}PRAGMA user_version = 1")
        old.execute("INSERT INTO studies VALUES ('1.2', 3)")
    database = Database(tmp_path / "q")
    assert drift_summaries(database) == {}
    assert len(database.rows("SELECT * FROM studies")) == 1


def test_a_node_counts_a_study_once_and_shows_what_it_found(tmp_path: Path) -> None:
    config = node_config(tmp_path / "node", drift={"window": 20})
    files = [image_file(tmp_path / f"{i}.dcm", seed=i, StudyInstanceUID=f"1.2.{max(1, i)}") for i in range(21)]
    with running(config) as node:
        assert set(send(config, *files)) == {0}
        until(lambda: drift_summaries(node.database).get(MODEL, {}).get("looks") == 1)
    found = node_status(config)["drift"][MODEL]
    assert (found["images"], found["novelty_alarm"], found["ratio_alarm"]) == (20, True, False)
    assert "unlike the validation images" in found["finding"]
