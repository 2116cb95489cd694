"""A node combines the images of a study: once they have all come, once for each set of them, whatever fails meanwhile."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from bayescope.errors import RunError
from bayescope.node.config import NodeConfig
from bayescope.node.journal import LOG
from bayescope.node.maintenance import node_status, purge_node, requeue
from nodes import (
    Archive,
    FakeCombiner,
    FakeReader,
    archive_of,
    combined_of,
    image_file,
    node_config,
    result_of,
    running,
    send,
    until,
)


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    return node_config(tmp_path / "node")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three images of one study."""
    return [image_file(tmp_path / f"{i}.dcm", seed=i, StudyInstanceUID="1.2.3") for i in range(3)]


def report_of(*files: Path) -> str:
    return str(combined_of([dcmread(file) for file in files]).SOPInstanceUID)


def events(config: NodeConfig, name: str) -> list[dict[str, Any]]:
    return [found for found in map(json.loads, (config.folder / LOG).read_text().splitlines()) if found["event"] == name]


def combined(config: NodeConfig) -> dict[str, int]:
    found: dict[str, int] = node_status(config)["combinations"]
    return found


@pytest.mark.slow
def test_a_study_is_combined_once_it_is_quiet_and_again_when_it_has_grown(config: NodeConfig, files: list[Path]) -> None:
    reader, archive = FakeReader(combiner=FakeCombiner()), archive_of(config)
    with archive.listening(), running(config, reader) as node:
        assert send(config, *files[:2]) == [0, 0]
        until(lambda: report_of(*files[:2]) in archive.received)
        assert send(config, files[0]) == [0]  # known
        assert send(config, files[2]) == [0]
        until(lambda: report_of(*files) in archive.received)
        assert node.metrics.combined.labels("combined")._value.get() == 2
    images = [result_of(dcmread(file), reader.model).SOPInstanceUID for file in files]
    assert sorted(archive.received) == sorted([*images, report_of(*files[:2]), report_of(*files)])
    assert combined(config) == {"combined": 1}
    assert [(event["images"], event["results"]) for event in events(config, "study combined")] == [(2, 1), (3, 1)]
    assert events(config, "combines images")[0]["by"] == "study"
    log = (config.folder / LOG).read_text()
    assert "1.2.3" not in log
    assert "Doe" not in log


def test_a_single_image_is_not_combined(config: NodeConfig, tmp_path: Path) -> None:
    archive = archive_of(config)
    with archive.listening(), running(config, FakeReader(combiner=FakeCombiner())) as node:
        send(config, image_file(tmp_path / "a.dcm"))
        until(lambda: combined(config) == {"single": 1})
        assert node.metrics.combined.labels("single")._value.get() == 1
        until(lambda: archive.received)
    assert len(archive.received) == 1


def test_a_run_that_did_not_learn_to_combines_nothing(config: NodeConfig, files: list[Path]) -> None:
    with running(config, FakeReader()):
        send(config, *files)
        until(lambda: node_status(config)["answers"] == {"answered": 3})
    assert combined(config) == {}
    assert len(events(config, "did not learn to combine")) == 1


def test_images_that_could_not_be_read_are_told_of(config: NodeConfig, files: list[Path], tmp_path: Path) -> None:
    """A refused one never was in the queue, and one that no rule fits is not to be read."""
    routed = config.model_copy(update={"routes": node_config(tmp_path, routes=[{"modality": ["MG"]}]).routes})
    combiner = FakeCombiner()
    reader = FakeReader(bad={dcmread(files[2]).SOPInstanceUID}, combiner=combiner)
    of = {"StudyInstanceUID": "1.2.3"}
    refused, skipped = image_file(tmp_path / "r.dcm", frames=2, **of), image_file(tmp_path / "s.dcm", Modality="US", **of)
    with running(routed, reader):
        assert send(routed, *files, refused, skipped) == [0, 0, 0, 0xC000, 0]
        until(lambda: combined(config) == {"combined": 1})
    assert combiner.asked == [(2, 1)]


@pytest.mark.slow
def test_an_image_that_comes_later_and_cannot_be_read_is_told_of(config: NodeConfig, files: list[Path]) -> None:
    combiner = FakeCombiner()
    with running(config, FakeReader(bad={dcmread(files[2]).SOPInstanceUID}, combiner=combiner)):
        send(config, *files[:2])
        until(lambda: combined(config) == {"combined": 1})
        send(config, files[2])
        until(lambda: combiner.asked == [(2, 0), (2, 1)])
        until(lambda: combined(config) == {"combined": 1})


def test_a_study_that_cannot_be_combined_has_failed_until_it_is_asked_for_again(config: NodeConfig, files: list[Path]) -> None:
    reader = FakeReader(combiner=FakeCombiner(errors=[ValueError("Doe^Jane")]))
    with running(config, reader) as node:
        send(config, *files)
        until(lambda: combined(config) == {"failed": 1})
        assert node.metrics.combined.labels("failed")._value.get() == 1
        (error,) = [error for error in node_status(config)["last_errors"] if error["kind"] == "combining"]
        assert error["error"] == "ValueError"
        assert "1.2.3" not in str(error)
        assert requeue(config)["combinations"] == 1
        until(lambda: combined(config) == {"combined": 1})
    assert "Doe" not in (config.folder / LOG).read_text()
    assert node_status(config)["deliveries"] == {"waiting": 4}


def test_a_report_that_cannot_be_written_is_made_again(config: NodeConfig, files: list[Path]) -> None:
    with running(config, FakeReader(combiner=FakeCombiner(errors=[RunError("disk full"), RunError("disk full")]))):
        send(config, *files)
        until(lambda: combined(config) == {"combined": 1})
    assert [event["error"] for event in events(config, "combined report not written")] == ["disk full", "disk full"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("killed", ["before", "meanwhile", "before it was recorded", "before it was sent"])
def test_a_node_started_anew_combines_what_was_not(
    config: NodeConfig, files: list[Path], killed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first node leaves its folder as a kill would; a second one takes it over.  One report comes of it."""

    def die(*_: Any) -> Any:
        raise SystemExit  # ends the thread that works, and nothing is put into order

    where = {
        "before": "node.studies.StudyWorker.step",
        "meanwhile": "nodes.FakeCombiner.__call__",
        "before it was recorded": "node.combinations.Combinations.record",
        "before it was sent": "node.send.Sender.send_due",
    }[killed]
    with monkeypatch.context() as patch:
        target = where if where.startswith("nodes.") else f"bayescope.{where}"
        patch.setattr(target, (lambda worker: 0) if killed == "before" else die)
        with running(config, FakeReader(combiner=FakeCombiner())):
            send(config, *files)
            state = {"before": "waiting", "before it was sent": "combined"}.get(killed, "working")
            until(lambda: combined(config) == {state: 1})
            if killed == "before it was recorded":
                until(lambda: len(list(config.folder.glob("results/*/*.dcm"))) == 4)
    archive = archive_of(config)
    with archive.listening(), running(config, FakeReader(combiner=FakeCombiner())):
        until(lambda: len(archive.received) == 4)
        until(lambda: node_status(config)["deliveries"] == {"sent": 4})
    assert archive.received.count(report_of(*files)) == 1
    assert combined(config) == {"combined": 1}


@pytest.fixture
def done(config: NodeConfig, files: list[Path]) -> Archive:
    """The archive of a node that combined and sent a study, and was stopped."""
    archive = archive_of(config)
    with archive.listening(), running(config, FakeReader(combiner=FakeCombiner())):
        send(config, *files)
        until(lambda: combined(config) == {"combined": 1})
        until(lambda: node_status(config)["deliveries"] == {"sent": 4})
    return archive


@pytest.mark.usefixtures("done")
def test_a_report_is_purged_with_its_study(config: NodeConfig) -> None:
    assert purge_node(config) == {"instances": 0, "results": 0}
    assert purge_node(config, days=0) == {"instances": 3, "results": 4}
    assert list(config.folder.rglob("*.dcm")) == []
    assert combined(config) == {}


@pytest.mark.usefixtures("done")
def test_images_of_a_study_that_waits_are_not_purged(config: NodeConfig, tmp_path: Path) -> None:
    late = image_file(tmp_path / "late.dcm", seed=9, StudyInstanceUID="1.2.3")
    patient = config.model_copy(update={"combine": config.combine.model_copy(update={"quiet_s": 999.0})})
    archive = archive_of(config)
    with archive.listening(), running(patient, FakeReader(combiner=FakeCombiner())):
        send(config, late)
        until(lambda: node_status(config)["deliveries"] == {"sent": 5})
    assert combined(config) == {"waiting": 1}
    assert purge_node(config, days=0) == {"instances": 0, "results": 0}
    with archive.listening(), running(patient, FakeReader()):
        pass  # which no longer combines
    assert combined(config) == {"failed": 1}
    assert purge_node(config, days=0) == {"instances": 4, "results": 5}


def test_a_study_sent_again_after_it_was_purged_has_the_same_report(
    config: NodeConfig, files: list[Path], done: Archive
) -> None:
    purge_node(config, days=0)
    with done.listening(), running(config, FakeReader(combiner=FakeCombiner())):
        send(config, *reversed(files))
        until(lambda: len(done.received) == 8)
    assert sorted(done.received[:4]) == sorted(done.received[4:])
    assert report_of(*files) in done.received
