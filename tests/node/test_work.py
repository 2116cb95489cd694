"""Images are routed and read; what one of them does stops no other."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from bayescope.dicom import to_bytes
from bayescope.node.journal import LOG
from bayescope.node.maintenance import node_status
from bayescope.node.service import Node
from nodes import RUN, FakeReader, archive_of, image_file, node_config, result_of, running, send, until


def counts(node: Node, table: str) -> dict[str, int]:
    return dict(map(tuple, node.database.rows(f"SELECT state, COUNT(*) FROM {table} GROUP BY state")))


def reasons(node: Node) -> list[str]:
    return [row[0] for row in node.database.rows("SELECT reason FROM instances WHERE state = 'skipped' ORDER BY id")]


def test_what_no_rule_fits_is_skipped_with_the_reason(tmp_path: Path) -> None:
    config, reader = node_config(tmp_path / "node", routes=[{"modality": ["MG"], "view": ["CC"]}]), FakeReader()
    files = [image_file(tmp_path / f"{view}.dcm", view=view) for view in ("CC", "MLO")]
    files.append(image_file(tmp_path / "us.dcm", Modality="US"))
    with running(config, reader) as node:
        assert send(config, *files) == [0, 0, 0]
        until(lambda: counts(node, "instances") == {"routed": 1, "skipped": 2})
        assert reasons(node) == ["no rule fits (rule 1: view MLO)", "no rule fits (rule 1: modality US)"]
        until(lambda: counts(node, "answers") == {"answered": 1})
    assert reader.read == [dcmread(files[0]).SOPInstanceUID]


def test_an_image_that_raises_fails_alone_and_its_text_is_not_kept(tmp_path: Path) -> None:
    config, files = node_config(tmp_path / "node"), [image_file(tmp_path / f"{i}.dcm", seed=i) for i in range(5)]
    reader = FakeReader(bad={dcmread(files[2]).SOPInstanceUID})
    with running(config, reader) as node:
        send(config, *files)
        until(lambda: counts(node, "answers") == {"answered": 4, "failed": 1})
        (row,) = node.database.rows("SELECT error FROM answers WHERE state = 'failed'")
    assert row["error"] == "ValueError"
    assert "Doe" not in (config.folder / LOG).read_text()


def test_results_that_cannot_be_encoded_fail_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, files = node_config(tmp_path / "node"), [image_file(tmp_path / f"{i}.dcm", seed=i) for i in range(3)]
    bad = result_of(dcmread(files[1]), FakeReader().model).SOPInstanceUID

    def encode(found: Any) -> bytes:
        if found.SOPInstanceUID == bad:
            raise ValueError("Doe^Jane")
        return to_bytes(found)

    monkeypatch.setattr("bayescope.node.work.to_bytes", encode)
    with running(config) as node:
        send(config, *files)
        until(lambda: counts(node, "answers") == {"answered": 2, "failed": 1})


def test_two_runs_read_an_image_each_with_an_answer(tmp_path: Path) -> None:
    runs = [Path("a"), Path("b")]
    config = node_config(tmp_path / "node", routes=[{"runs": [str(run) for run in runs]}])
    config.folder.mkdir()
    readers = {run: FakeReader(model=run.name * 64) for run in runs}
    node = Node(config, RUN, readers)
    node.start()
    send(config, image_file(tmp_path / "a.dcm"))
    until(lambda: counts(node, "answers") == {"answered": 2})
    node.stop()
    assert [len(reader.read) for reader in readers.values()] == [1, 1]


def test_the_nodes_own_results_are_not_read(tmp_path: Path) -> None:
    config, reader, file = node_config(tmp_path / "node"), FakeReader(), image_file(tmp_path / "a.dcm")
    made = tmp_path / "made.dcm"
    result_of(dcmread(file), reader.model).save_as(made, enforce_file_format=True)
    with running(config, reader) as node:
        send(config, file)
        until(lambda: counts(node, "answers") == {"answered": 1})
        assert send(config, made) == [0]
        until(lambda: reasons(node) == ["made by this node"])
    assert len(reader.read) == 1


def test_results_that_cannot_be_written_are_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, reader = node_config(tmp_path / "node"), FakeReader()
    write, full = os.fsync, [True]

    def fsync(handle: int) -> None:
        if full[0] and "/results/" in str(Path(f"/proc/self/fd/{handle}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(handle)

    monkeypatch.setattr("bayescope.node.storage.os.fsync", fsync)
    archive = archive_of(config)
    with archive.listening(), running(config, reader):
        assert send(config, image_file(tmp_path / "a.dcm")) == [0]
        until(lambda: "result not written" in (config.folder / LOG).read_text())
        full[0] = False
        until(lambda: archive.received)
        assert node_status(config)["answers"] == {"answered": 1}


@pytest.mark.parametrize("killed", ["before routing", "while reading"])
def test_a_node_started_anew_reads_what_was_acknowledged(tmp_path: Path, killed: str, monkeypatch: Any) -> None:
    """The first node does not read; a second one takes its folder over without the first having been stopped."""
    config, reader = node_config(tmp_path / "node"), FakeReader()
    file = image_file(tmp_path / "a.dcm")
    with monkeypatch.context() as patch:
        patch.setattr("bayescope.node.work.Worker.step", lambda worker: 0)
        with running(config, reader) as node:
            send(config, file)
            if killed == "while reading":
                node._worker.route()
                assert len(node._queue.claim(reader.model, 1)) == 1
    with running(config, reader):
        until(lambda: reader.read)
    assert reader.read == [dcmread(file).SOPInstanceUID]
