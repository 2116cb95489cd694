"""Status, requeueing and purging, of a node that runs and of one that does not."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from bayescope.errors import RunError
from bayescope.node.config import NodeConfig
from bayescope.node.journal import AUDIT
from bayescope.node.maintenance import node_status, purge_node, requeue
from nodes import FakeReader, archive_of, image_file, node_config, running, send, until, write_toml


def files_in(config: NodeConfig) -> list[str]:
    return sorted(path.parts[-3] for path in config.folder.rglob("*.dcm"))


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    """Of a node that was stopped: one image answered and sent, one failed, one skipped."""
    config = node_config(tmp_path / "node", routes=[{"view": ["CC"]}])
    files = [image_file(tmp_path / f"{i}.dcm", seed=i, view=view) for i, view in enumerate(("CC", "CC", "MLO"))]
    archive, reader = archive_of(config), FakeReader(bad={dcmread(files[1]).SOPInstanceUID})
    with archive.listening(), running(config, reader):
        send(config, *files)
        until(lambda: node_status(config)["answers"] == {"answered": 1, "failed": 1})
        until(lambda: node_status(config)["deliveries"] == {"sent": 1})
    return config


def test_status(config: NodeConfig) -> None:
    found = node_status(config)
    assert found["instances"] == {"routed": 2, "skipped": 1}
    assert (found["answered_last_hour"], found["answered_last_day"], found["longest_wait_s"]) == (1, 1, 0)
    assert found["bytes"] == sum(path.stat().st_size for path in config.folder.rglob("*.dcm"))
    assert found["skipped"] == {"no rule fits (rule 1: view MLO)": 1}
    assert found["dead_letters"] == []
    (error,) = found["last_errors"]
    assert (error["kind"], error["error"]) == ("reading", "ValueError")
    assert (config.folder / "objects" / error["name"][:2] / f"{error['name']}.dcm").exists()


def test_status_in_words(config: NodeConfig, cli: Any, tmp_path: Path) -> None:
    toml = write_toml(config, tmp_path / "node.toml")
    told = cli("node", "status", "--config", toml).out
    assert "Answers: 1 in the last hour" in told
    assert "Skipped: 1, no rule fits (rule 1: view MLO)" in told
    assert "reading, " in told
    assert json.loads(cli("node", "status", "--config", toml, "--json").out)["answers"] == {"answered": 1, "failed": 1}
    assert json.loads(cli("node", "requeue", "--config", toml, "--json").out)["answers"] == 1
    assert "To be read again: 0" in cli("node", "requeue", "--config", toml).out
    assert "Deleted: 2 images, 1 results" in cli("node", "purge", "--config", toml, "--days", 0).out


def test_the_longest_wait_is_of_what_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = node_config(tmp_path / "node")
    monkeypatch.setattr("bayescope.node.work.Worker.step", lambda worker: 0)
    with running(config):
        send(config, image_file(tmp_path / "a.dcm"))
        now = node_status(config)["longest_wait_s"]
        assert 0 < now < 60


def test_requeue_reads_again_what_failed(config: NodeConfig) -> None:
    assert requeue(config) == {"answers": 1, "combinations": 0, "deliveries": 0, "instances": 0}
    with running(config):
        until(lambda: node_status(config)["answers"] == {"answered": 2})


def test_requeue_routes_again_what_was_skipped(config: NodeConfig) -> None:
    assert requeue(config, skipped=True)["instances"] == 1
    changed = config.model_copy(update={"routes": node_config(config.folder, routes=[{}]).routes})
    with running(changed):
        until(lambda: node_status(config)["answers"] == {"answered": 3})


def test_purge_keeps_what_is_younger(config: NodeConfig) -> None:
    assert purge_node(config) == {"instances": 0, "results": 0}
    assert files_in(config) == ["objects"] * 3 + ["results"]


def test_purge_deletes_files_and_rows_and_is_audited(config: NodeConfig) -> None:
    assert purge_node(config, days=0) == {"instances": 3, "results": 1}
    assert files_in(config) == []
    found = node_status(config)
    assert [found[table] for table in ("instances", "answers", "deliveries")] == [{}, {}, {}]
    last = json.loads((config.folder / AUDIT).read_text().splitlines()[-1])
    assert (last["event_id"]["meaning"], last["action"], last["objects"]) == ("DICOM Study Deleted", "D", 3)


def test_purge_keeps_what_waits(config: NodeConfig, tmp_path: Path) -> None:
    with running(config):
        send(config, image_file(tmp_path / "new.dcm", view="CC"))
        until(lambda: node_status(config)["deliveries"] == {"sent": 1, "waiting": 1})
    requeue(config)
    assert purge_node(config, days=0)["instances"] == 2
    found = node_status(config)
    assert (found["answers"], found["deliveries"]) == ({"answered": 1, "queued": 1}, {"waiting": 1})
    assert files_in(config) == ["objects"] * 2 + ["results"]


def test_an_image_that_was_purged_may_come_again(config: NodeConfig, tmp_path: Path) -> None:
    purge_node(config, days=0)
    archive = archive_of(config)
    with archive.listening(), running(config):
        assert send(config, tmp_path / "0.dcm") == [0]
        until(lambda: node_status(config)["deliveries"] == {"sent": 1})


@pytest.mark.parametrize("ask", [node_status, requeue, purge_node])
def test_a_folder_without_a_queue(tmp_path: Path, ask: Any) -> None:
    with pytest.raises(RunError, match="no queue"):
        ask(node_config(tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()
