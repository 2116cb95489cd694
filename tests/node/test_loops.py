"""Steps are repeated at once while there is something to do, and whatever they raise."""

import threading
from pathlib import Path

import pytest

from bayescope.node.journal import LOG, Journal, Pseudonyms
from bayescope.node.loops import Loop
from nodes import until


def loop(folder: Path, step: object) -> Loop:
    assert callable(step)
    return Loop("test", step, 1000.0, Journal(folder, "BAYESCOPE", Pseudonyms.of_folder(folder)))


def test_it_goes_on_at_once_while_there_is_work_and_when_woken(tmp_path: Path) -> None:
    work, done = [1, 1, 0, 0], list[int]()
    idle = threading.Event()

    def step() -> int:
        did = work.pop(0) if work else 0
        done.append(did)
        if not did:
            idle.set()
        return did

    found = loop(tmp_path, step)
    found.start()
    assert idle.wait(5)
    until(lambda: len(done) == 3)
    found.wake()
    until(lambda: len(done) == 4)
    found.stop()
    assert done == [1, 1, 0, 0]


def test_an_error_is_told_and_does_not_end_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bayescope.node.loops._AFTER_ERROR_S", 0.01)
    tried = list[int]()

    def step() -> int:
        tried.append(1)
        raise ValueError("Doe^Jane")

    found = loop(tmp_path, step)
    found.start()
    until(lambda: len(tried) > 2)
    found.stop()
    told = (tmp_path / LOG).read_text()
    assert '"error": "ValueError"' in told
    assert "Doe" not in told
