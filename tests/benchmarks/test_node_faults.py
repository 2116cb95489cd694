"""The fault run on a small scale: a real Orthanc, a node that is killed, and each image answered once, as is each study."""

from pathlib import Path

import pytest
from benchmarks.node import fault_run

from nodes import taught
from services import Orthanc


@pytest.mark.slow
def test_each_image_and_each_study_is_answered_once_though_the_node_is_killed(
    prepared_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Orthanc(tmp_path / "there")  # skips where it is not installed
    monkeypatch.setattr("benchmarks.node._LONGEST_WAIT_S", 1.0)
    monkeypatch.setattr("benchmarks.node._QUIET_S", 0.5)
    found = fault_run(
        taught(prepared_run, tmp_path / "run"), tmp_path, instances=24, studies=6, associations=3, kills=2, restarts=1
    )
    expected = {"kills": 2, "restarts": 1, "acknowledged": 24, "answered_once": 24, "answered_twice": 0, "lost": 0}
    expected["combined_once"] = 6
    assert {name: found[name] for name in expected} == expected
    assert found["refused"] == []
    assert found["peak_mib"] < found["idle_mib"] + 300
