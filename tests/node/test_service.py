"""A node and a real Orthanc: mammograms go from the archive to the node, results come back into the same study."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bayescope.node.config import NodeConfig
from nodes import image_file, node_config, until, write_toml
from services import Orthanc

COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"


@contextmanager
def process(run: Path, toml: Path) -> Iterator[subprocess.Popen[str]]:
    """``bayescope node``, once it listens."""
    command = [sys.executable, "-m", "bayescope", "node", str(run), "--config", str(toml)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as node:
        try:
            assert node.stderr
            told = node.stderr.readline()
            assert "stop with Ctrl-C" in told, told + node.stderr.read()
            yield node
        finally:
            node.kill()


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two studies of two mammograms each."""
    return [image_file(tmp_path / f"{i}.dcm", seed=i, StudyInstanceUID=f"1.2.3.{i // 2}") for i in range(4)]


def settings(folder: Path, orthanc: Orthanc, **more: Any) -> NodeConfig:
    caller = {"ae_title": "ORTHANC", "addresses": ["127.0.0.1"]}
    archive = {"name": "archive", "ae_title": "ORTHANC", "address": "127.0.0.1", "port": orthanc.dicom_port}
    return node_config(folder, **{"listen": {"callers": [caller]}, "destinations": [archive], **more})


def found_by_qido(orthanc: Orthanc, study: str) -> list[str]:
    """Modalities of the objects of a study."""
    found = orthanc.get_json(f"dicom-web/studies/{study}/instances?includefield=00080060")
    return sorted(item["00080060"]["Value"][0] for item in found)


@pytest.mark.slow
def test_results_come_back_into_the_study(prepared_run: Path, tmp_path: Path, files: list[Path], orthanc: Orthanc) -> None:
    config = settings(tmp_path / "node", orthanc)
    assert config.listen
    orthanc.put_json("modalities/node", {"AET": "BAYESCOPE", "Host": "127.0.0.1", "Port": config.listen.port})
    names = [orthanc.store(file) for file in files]
    with process(prepared_run, write_toml(config, tmp_path / "node.toml")) as node:
        orthanc.post_json("modalities/node/store", names)
        until(lambda: len(orthanc.instance_uids()) == 16, 60)
        node.send_signal(signal.SIGTERM)
        assert node.wait(30) == 0
    assert [found_by_qido(orthanc, f"1.2.3.{i}") for i in (0, 1)] == [["MG", "MG", "OT", "OT", "SEG", "SEG", "SR", "SR"]] * 2
