"""Files on disk: whole under their names or not at all."""

import errno
import os
from pathlib import Path

import pytest

from bayescope.errors import RunError
from bayescope.node.storage import OBJECTS, RESULTS, Storage


def test_a_part_is_removed_unless_kept(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    with storage.part(OBJECTS, b"abc") as part:
        assert part.read_bytes() == b"abc"
    assert not part.exists()
    with storage.part(OBJECTS, b"abc") as part:
        storage.keep(part, OBJECTS, "name.dcm")
    assert storage.path(OBJECTS, "name.dcm").read_bytes() == b"abc"


def test_it_is_on_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage, done = Storage(tmp_path), list[str]()
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr("os.fsync", lambda handle: (done.append("flushed"), fsync(handle)))
    monkeypatch.setattr(Path, "replace", lambda path, target: (done.append("named"), replace(path, target))[1])
    storage.write(RESULTS, "name.dcm", b"abc")
    assert done == ["flushed", "flushed", "named", "flushed"]  # file; folders; name; the folder of the name


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage(tmp_path)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match="No space left"):
        storage.write(OBJECTS, "name.dcm", b"abc")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_a_killed_node_left_is_cleared(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    for name in ("known.dcm", "orphan.dcm"):
        storage.write(OBJECTS, name, b"abc")
    (tmp_path / OBJECTS / "x.part").touch()
    assert storage.clear(OBJECTS, {"known.dcm"}) == 2
    assert storage.path(OBJECTS, "known.dcm").exists()
    assert storage.used_bytes() == 3
    storage.remove(OBJECTS, ["known.dcm", "gone.dcm"])
    assert storage.used_bytes() == 0


def test_a_file_that_goes_while_sizes_are_added_up_counts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage, is_file = Storage(tmp_path), Path.is_file
    storage.write(RESULTS, "name.dcm", b"abc")
    listed = list(tmp_path.rglob("*"))
    storage.remove(RESULTS, ["name.dcm"])
    monkeypatch.setattr(Path, "rglob", lambda folder, pattern: listed)
    monkeypatch.setattr(Path, "is_file", lambda path: path.suffix == ".dcm" or is_file(path))
    assert storage.used_bytes() == 0
