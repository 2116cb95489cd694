"""A DICOM node under faults: killed and started anew while images come in, its archive restarted: is each answered once?

    python -m benchmarks node
    python -m benchmarks node --kills 0 --restarts 0 --instances 2000  # does its memory grow?

Trains a tiny model on phantom mammograms, starts a real Orthanc (scripts/install-services.sh) and a node, and sends images over
several associations at once, each client sending again what was not acknowledged.  Meanwhile the node is killed with SIGKILL,
and Orthanc stopped and started, at even steps of progress.  At the end every report in the archive is read: each image must be
the source of exactly one of single images, and each study that of exactly one of all its images.  Kept in
benchmarks/results/node.jsonl.
"""

import argparse
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w
from pydicom import dcmread
from tests.mammograms import mammogram, write_mammogram
from tests.services import Orthanc, free_port

from bayescope.calibration.pooling import GroupPooling
from bayescope.config import parse_config
from bayescope.data.archives.image_folder import read_image_folder
from bayescope.data.load import load_dataset
from bayescope.data.preparation.mammogram import Preparation
from bayescope.data.preparation.prepare import prepare
from bayescope.fitting.fit import fit_run
from bayescope.runs.model_file import load_model, save_model
from benchmarks.node_traffic import PATIENCE_S, Client, sending, write_studies
from benchmarks.store import RESULTS, Store

REPORTS = "1.2.840.10008.5.1.4.1.1.88"
_MIB_IN_KIB = 2**10
_LONGEST_WAIT_S, _QUIET_S = 5.0, 2.0


def tiny_run(folder: Path) -> Path:
    """A model of 8 by 8 pixels, trained for 24 steps, which says that it learned to combine: what it says does not matter."""
    for label in ("ill", "well"):
        for i in range(14):
            write_mammogram(folder / "set" / label / f"{i}.dcm", mammogram(24, 16, seed=i), PatientID=f"{label}{i}")
    prepare(read_image_folder(folder / "set"), Preparation(8), folder / "cache", folder / "set", workers=1)
    training = {"steps": 24, "batch_size": 8, "validate_every": 8, "warmup_steps": 2}
    evidence = {"levels": 4, "noises": 2, "sigma_min": 0.1, "sigma_max": 2.0}
    config = parse_config({"net": {"widths": [8, 8]}, "training": training, "evidence": evidence})
    fit_run(load_dataset(folder / "cache"), config, folder / "run")
    learned = GroupPooling("study", None, 0.5, (0.0, 0.0), (30, 30), fitted=True)
    save_model(folder / "run", load_model(folder / "run").with_post_hoc(poolings=(learned,)))
    return folder / "run"


@dataclass
class NodeProcess:
    """``bayescope node``, started again after each kill; ``peak_mib``: the most memory that any of its lives held."""

    run: Path
    toml: Path
    log: Path
    port: int
    peak_mib: float = 0.0
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        command = [sys.executable, "-m", "bayescope", "node", self.run, "--config", self.toml]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def wait(self) -> None:
        """Until it listens."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            self.measure()
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.1)

    def measure(self) -> None:
        """Take note of its memory."""
        assert self.process
        if self.process.poll() is not None:
            raise RuntimeError(f"the node ended by itself:\n{self.log.read_text()[-2000:]}")
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        self.peak_mib = max(self.peak_mib, int(status.partition("VmHWM:")[2].split()[0]) / _MIB_IN_KIB)

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()


def in_archive(orthanc: Orthanc, known: int) -> int:
    """How many objects the archive holds; ``known`` while it does not answer."""
    try:
        return int(orthanc.get_json("statistics")["CountInstances"])
    except (OSError, ValueError):
        return known


def sources_of_reports(orthanc: Orthanc) -> Counter[frozenset[str]]:
    """How many reports in the archive are about each image, or images together, by their SOP Instance UIDs."""
    found: Counter[frozenset[str]] = Counter()
    for name in orthanc.get_json("instances"):
        data = dcmread(io.BytesIO(orthanc.get(f"instances/{name}/file")))
        if str(data.SOPClassUID).startswith(REPORTS):
            (study,) = data.CurrentRequestedProcedureEvidenceSequence
            items = (item for series in study.ReferencedSeriesSequence for item in series.ReferencedSOPSequence)
            found[frozenset(str(item.ReferencedSOPInstanceUID) for item in items)] += 1
    return found


def let_settle(orthanc: Orthanc) -> None:
    """Wait until nothing has come into the archive for longer than anything waits in the node."""
    began, held, since = time.monotonic(), 0, time.monotonic()
    while time.monotonic() - since < _LONGEST_WAIT_S + _QUIET_S + 3 and time.monotonic() - began < PATIENCE_S:
        if (now := in_archive(orthanc, held)) != held:
            held, since = now, time.monotonic()
        time.sleep(0.5)


def fault_run(
    run: Path, folder: Path, instances: int, studies: int, associations: int, kills: int, restarts: int
) -> dict[str, Any]:
    """Send images while node and archive fail; what came of it."""
    files = write_studies(folder / "images", instances, studies)
    orthanc, port = Orthanc(folder / "orthanc"), free_port()
    settings = {
        "folder": str(folder / "node"),
        "keep_free_mb": 1,
        "listen": {"port": port, "callers": [{"ae_title": "SENDER", "addresses": ["127.0.0.1"]}]},
        "destinations": [{"name": "archive", "ae_title": "ORTHANC", "address": "127.0.0.1", "port": orthanc.dicom_port}],
        "delivery": {"first_wait_s": 0.5, "longest_wait_s": _LONGEST_WAIT_S},
        "combine": {"quiet_s": _QUIET_S},
        "reading": {"device": "cpu", "evidence_maps": False},
    }
    (folder / "node.toml").write_text(tomli_w.dumps(settings))
    clients = [Client(port, files[i::associations]) for i in range(associations)]
    node = NodeProcess(run, folder / "node.toml", folder / "node.log", port)
    total = 2 * instances
    kill_at = [total * (i + 1) / (kills + 1) for i in range(kills)]
    restart_at = [total * (i + 1) / (restarts + 1) for i in range(restarts)]
    orthanc.start()
    node.start()
    try:
        node.wait()
        idle_mib = node.peak_mib
        began, held = time.monotonic(), 0
        with sending(clients) as still:
            while (still() or held < instances) and time.monotonic() - began < PATIENCE_S:
                held = in_archive(orthanc, held)
                progress = sum(client.acknowledged for client in clients) + held
                node.measure()
                if kill_at and progress >= kill_at[0]:
                    kill_at.pop(0)
                    node.kill()
                    node.start()
                if restart_at and progress >= restart_at[0]:
                    restart_at.pop(0)
                    orthanc.stop()
                    orthanc.start()
                time.sleep(0.05)
        seconds = time.monotonic() - began
        let_settle(orthanc)  # whatever would come twice comes now
        node.measure()
        answers = sources_of_reports(orthanc)
    finally:
        node.kill()
        orthanc.kill()
    by_study = [[str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in study] for study in files]
    images = [frozenset({uid}) for study in by_study for uid in study]
    return {
        "instances": instances,
        "studies": studies,
        "associations": associations,
        "kills": kills - len(kill_at),
        "restarts": restarts - len(restart_at),
        "acknowledged": sum(client.acknowledged for client in clients),
        "answered_once": sum(answers[image] == 1 for image in images),
        "answered_twice": sum(count > 1 for count in answers.values()),
        "lost": sum(answers[image] == 0 for image in images),
        "combined_once": sum(answers[frozenset(study)] == 1 for study in by_study),
        "sent_again": sum(client.sent_again for client in clients),
        "refused": sorted(status for client in clients for status in client.refused),
        "seconds": round(seconds, 1),
        "idle_mib": round(idle_mib, 1),
        "peak_mib": round(node.peak_mib, 1),
        "cores": os.cpu_count(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=1000)
    parser.add_argument("--studies", type=int, default=250)
    parser.add_argument("--associations", type=int, default=8)
    parser.add_argument("--kills", type=int, default=10, help="of the node, with SIGKILL")
    parser.add_argument("--restarts", type=int, default=3, help="of Orthanc, with SIGTERM")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the rows")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        counts = args.instances, args.studies, args.associations, args.kills, args.restarts
        record = fault_run(tiny_run(folder), folder, *counts)
    Store("node", args.results).put("faults" if args.kills or args.restarts else "calm", record)
    print(json.dumps(record, indent=1))
