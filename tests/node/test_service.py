"""A node and a real Orthanc: mammograms go from the archive to the node, results come back into the same study."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bayescope.node.config import NodeConfig
from bayescope.node.journal import LOG
from nodes import image_file, node_config, until, write_toml
from services import Orthanc, free_port

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


def example(**replaced: str) -> dict[str, list[str]]:
    """Code blocks of the example in the documentation by language, other words in the place of some."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "node.md").read_text()
    section = page.partition("## An example with Orthanc")[2].partition("\n## ")[0]
    for old, new in replaced.items():
        assert old in section, old
        section = section.replace(old, new)
    found: dict[str, list[str]] = {}
    for language, block in re.findall(r"```(\w+)\n(.*?)```", section, flags=re.DOTALL):
        found.setdefault(language, []).append(block)
    return found


@contextmanager
def in_background(line: str, folder: Path) -> Iterator[None]:
    """A command line, ended as by Ctrl-C."""
    with subprocess.Popen(["bash", "-c", f"exec {line}"], cwd=folder, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


@pytest.mark.slow
def test_the_example_of_the_documentation(prepared_run: Path, tmp_path: Path) -> None:
    """As it stands, on free ports and with a run of the test."""
    Orthanc(tmp_path / "there")  # skips where it is not installed
    ports = {number: str(free_port()) for number in ("4242", "8042", "11112", "9464")}
    bayescope = {"bayescope node": f"{sys.executable} -m bayescope node"}
    found = example(**ports, **{"runs/mass": str(prepared_run)}, **bayescope)
    (tmp_path / "orthanc.json").write_text(found["json"][0])
    (tmp_path / "node.toml").write_text(found["toml"][0])
    image_file(tmp_path / "mammogram.dcm", view="CC")
    start, send, see = found["sh"]
    archive, node = start.splitlines()
    (tmp_path / "archive").mkdir()
    instances, web = (f"http://127.0.0.1:{ports['8042']}/{path}" for path in ("instances", "dicom-web/instances"))

    def shell(script: str) -> str:
        return subprocess.run(["bash", "-ec", script], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    with in_background(archive.partition(" && ")[2], tmp_path):
        until(lambda: not subprocess.run(["curl", "-s", instances], capture_output=True).returncode)
        with in_background(node, tmp_path):
            log = tmp_path / "node" / LOG
            until(lambda: log.exists() and "started" in log.read_text(), 60)
            shell(send)
            until(lambda: shell(f"curl -s {web}").count("00080018") == 4, 60)
            told = shell(see)
    assert "Answers: 1 in the last hour" in told
    assert told.count('"SR"') == 1
