"""A whole node in this process: what is sent to it is read, and the results reach the archive."""

from pathlib import Path

from pydicom import dcmread

from bayescope.node.maintenance import node_status
from nodes import FakeReader, archive_of, calling, image_file, node_config, result_of, running, send, until


def test_an_image_is_read_and_its_result_sent(tmp_path: Path) -> None:
    config, reader, file = node_config(tmp_path / "node"), FakeReader(), image_file(tmp_path / "a.dcm")
    archive = archive_of(config)
    with archive.listening(), running(config, reader):
        assert send(config, file) == [0]
        until(lambda: archive.received)
    assert archive.received == [result_of(dcmread(file), reader.model).SOPInstanceUID]


def test_an_image_sent_twice_is_read_once(tmp_path: Path) -> None:
    config, reader, file = node_config(tmp_path / "node"), FakeReader(), image_file(tmp_path / "a.dcm")
    archive = archive_of(config)
    with archive.listening(), running(config, reader):
        assert send(config, file, file) == [0, 0]
        until(lambda: archive.received)
        assert send(config, file) == [0]
        until(lambda: node_status(config)["instances"] == {"routed": 1})
    assert (len(archive.received), len(reader.read)) == (1, 1)


def test_it_answers_echo(tmp_path: Path) -> None:
    config = node_config(tmp_path / "node")
    with running(config), calling(config) as association:
        assert association.send_c_echo().Status == 0
