"""Nodes to test: settings, images to send, a reader that makes small results, and both ends of associations."""

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copytree
from socketserver import BaseServer
from time import monotonic, sleep
from typing import Any

import numpy as np
import tomli_w
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid
from pynetdicom import AE, StoragePresentationContexts, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification

from bayescope.calibration.pooling import GroupPooling
from bayescope.config.toml_file import parse_section
from bayescope.inference.drift import DriftTest
from bayescope.node import service
from bayescope.node.combiner import Combiner, Unread
from bayescope.node.config import DriftConfig, NodeConfig
from bayescope.node.queue import Instance, Queue
from bayescope.node.readers import Answered, Outcome
from bayescope.node.service import Node
from bayescope.runs.model_file import load_model, save_model
from mammograms import mammogram, write_mammogram
from services import free_port

RUN = Path("run")
RECORD = {"novelty_p_value": 0.01, "log_likelihood_ratio": {"sick": 1.0, "well": -1.0}, "seen": None}
UIDS = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
service._IDLE_S = 0.1  # seconds after which a node looks whether there is something to do
BaseServer.serve_forever.__defaults__ = (0.02,)  # seconds in which servers notice their end, half a second otherwise


def image_file(path: Path, seed: int = 0, **elements: Any) -> Path:
    """A small phantom mammogram of a study of its own, unless ``elements`` say another."""
    about = {"PatientName": "Doe^Jane", "PatientID": "12345", "StudyDate": "20260102", "StudyTime": "101112"}
    about |= {"PatientBirthDate": "19700101", "PatientSex": "F", "AccessionNumber": "A1", "StudyID": "S1"}
    about |= {"SeriesNumber": 1, "InstanceNumber": 1, "PatientOrientation": ["P", "L"], "BodyPartExamined": "BREAST"}
    uids = {keyword: generate_uid(entropy_srcs=[keyword, str(path), str(seed)]) for keyword in UIDS}
    image = elements.pop("image", None)
    small = mammogram(60, 40, seed=seed) if image is None else image
    write_mammogram(path, small, **about | uids | elements)
    data = dcmread(path)
    data.file_meta.MediaStorageSOPInstanceUID, data.file_meta.MediaStorageSOPClassUID = data.SOPInstanceUID, data.SOPClassUID
    data.save_as(path, enforce_file_format=True)
    return path


def instance(uid: str = "1.2") -> Instance:
    """An image as the queue knows it."""
    return Instance(uid, "1.2.840", "1.9", f"{uid}.dcm", "TESTER")


def route_all(queue: Queue, *models: str) -> None:
    """Have all images received read by these models."""
    for found in queue.received(99):
        queue.route(found.id, models)


def result_of(source: Dataset, model: str) -> Dataset:
    """A picture of four pixels in the study of ``source``, whose UID follows from both."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.Modality = SecondaryCaptureImageStorage, "OT"
    made.SOPInstanceUID = generate_uid(entropy_srcs=[source.SOPInstanceUID, model])
    made.SeriesInstanceUID = generate_uid(entropy_srcs=[source.SeriesInstanceUID, model])
    for keyword in ("StudyInstanceUID", "PatientName", "PatientID"):
        setattr(made, keyword, source.get(keyword))
    made.Rows = made.Columns = 2
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 8, 8, 7
    made.PixelData = np.arange(4, dtype=np.uint8).tobytes()
    return made


@dataclass
class FakeReader:
    """Makes one small result of each image; images of a SOP Instance UID in ``bad`` make it raise."""

    model: str = "f" * 64
    bad: set[str] = field(default_factory=set)
    read: list[str] = field(default_factory=list)
    combiner: Combiner | None = None

    def __call__(self, files: Sequence[Path]) -> list[Outcome]:
        sources = [dcmread(file, stop_before_pixels=True) for file in files]
        if any(source.SOPInstanceUID in self.bad for source in sources):
            raise ValueError("Doe^Jane")
        self.read += [source.SOPInstanceUID for source in sources]
        return [
            Answered([result_of(source, self.model)], RECORD) if source.Rows > 1 else Unread("too small") for source in sources
        ]

    def drift_test(self, config: DriftConfig) -> DriftTest:
        return DriftTest(99, None, config.window, config.alpha)


@dataclass
class FakeCombiner:
    """Makes one small result of two images or more; ``asked``: how many were read, and how many could not be.

    The first times, as many as ``errors``, it raises those.
    """

    asked: list[tuple[int, int]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    def __call__(self, files: Sequence[Path], unread: Sequence[Path]) -> list[Dataset] | Unread:
        sources = [dcmread(file, stop_before_pixels=True) for file in files]
        if self.errors:
            raise self.errors.pop(0)
        self.asked.append((len(files), len(unread)))
        return [combined_of(sources)] if len(sources) > 1 else []


def combined_of(sources: Sequence[Dataset]) -> Dataset:
    """The result that a FakeCombiner makes, in whatever order the images came."""
    return result_of(min(sources, key=_uid), "/".join(sorted(map(_uid, sources))))


def _uid(source: Dataset) -> str:
    return str(source.SOPInstanceUID)


def taught(run: Path, folder: Path, *, by: str = "study", any_of: str | None = None) -> Path:
    """A copy of a run, which says that it learned how the images of a study add up."""
    copytree(run, folder)
    pooling = GroupPooling(by, any_of, 0.4, (0.1, -0.1), (30, 30), True)
    save_model(folder, load_model(run).with_post_hoc(poolings=(pooling,)))
    return folder


def node_config(folder: Path, **settings: Any) -> NodeConfig:
    """A node that TESTER may call, and that sends to ARCHIVE on a port where nobody listens, unless ``settings`` say else."""
    caller = {"ae_title": "TESTER", "addresses": ["127.0.0.1"], "commitment_port": free_port()}
    values: dict[str, Any] = {
        "folder": folder,
        "keep_free_mb": 1,
        "listen": {"port": free_port(), "callers": [caller], "timeout_s": 10},
        "destinations": [{"name": "archive", "ae_title": "ARCHIVE", "address": "127.0.0.1", "port": free_port()}],
        "combine": {"quiet_s": 0.3},
        "delivery": {"first_wait_s": 0.2, "longest_wait_s": 0.5},
    }
    for name, value in settings.items():
        values[name] = values[name] | value if isinstance(value, dict) and name in values else value
    return parse_section(NodeConfig, values)


def write_toml(config: NodeConfig, path: Path) -> Path:
    """The settings as a file."""
    path.write_text(tomli_w.dumps(json.loads(config.model_dump_json(exclude_none=True))))
    return path


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that vouches for itself, and its key."""
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    line = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*line.split(), "-out", paths[0], "-keyout", paths[1]], check=True, capture_output=True)
    return paths


@contextmanager
def running(config: NodeConfig, reader: FakeReader | None = None) -> Iterator[Node]:
    """A node in this process."""
    config.folder.mkdir(exist_ok=True)
    node = Node(config, RUN, {run: reader or FakeReader() for run in config.runs(RUN)})
    node.start()
    try:
        yield node
    finally:
        node.stop()


@contextmanager
def calling(config: NodeConfig, ae_title: str = "TESTER", **options: Any) -> Iterator[Association]:
    """An association with a node, over which all kinds of images may be sent, each in its own encoding."""
    assert config.listen
    entity = AE(ae_title)
    entity.dimse_timeout = 10
    for abstract, syntax in options.pop("contexts", ((Verification, ExplicitVRLittleEndian),)):
        entity.add_requested_context(abstract, syntax)
    called = options.pop("called", config.listen.ae_title)
    association = entity.associate("127.0.0.1", config.listen.port, ae_title=called, **options)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def send(config: NodeConfig, *files: Path, **options: Any) -> list[int]:
    """Send files to a node over one association; the statuses, -1 where there was no answer."""
    objects = [dcmread(file, force=True) for file in files]
    contexts = sorted({(found.SOPClassUID, found.file_meta.TransferSyntaxUID) for found in objects})
    with calling(config, contexts=contexts, **options) as association:
        assert association.is_established
        return [association.send_c_store(found).get("Status", -1) for found in objects]


@dataclass
class Archive:
    """A C-STORE server that keeps what it is sent: SOP Instance UIDs in order of arrival.  It answers ``status``."""

    port: int
    status: int = 0
    received: list[str] = field(default_factory=list)

    @contextmanager
    def listening(self, **options: Any) -> Iterator[None]:
        entity = AE("ARCHIVE")
        entity.supported_contexts = StoragePresentationContexts
        handlers: Any = [(evt.EVT_C_STORE, self._store)]
        server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers, **options)
        assert server
        try:
            yield
        finally:
            server.shutdown()

    def _store(self, event: evt.Event) -> int:
        if not self.status:
            self.received.append(str(event.dataset.SOPInstanceUID))
        return self.status


def archive_of(config: NodeConfig) -> Archive:
    """The archive that a node sends to."""
    (to,) = config.destinations
    assert hasattr(to, "port")
    return Archive(to.port)


def until(true: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until something is true."""
    deadline = monotonic() + seconds
    while not true():
        assert monotonic() < deadline, "still not true"
        sleep(0.02)
