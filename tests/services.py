"""Programs that tests start for real: Orthanc, an archive with DICOMweb, and dciodvfy, which validates DICOM objects.

``scripts/install-services.sh`` installs them.  A missing one skips the test, or fails it where BAYESCOPE_REQUIRE_SERVICES is
set.
"""

import io
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import pytest
from pydicom import FileDataset, dcmread

DICOMWEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
_SYSTEM = "/usr/sbin:/usr/bin:/sbin:/bin"
"""Where packages put programs: pynetdicom puts a ``storescu`` and ``echoscu`` of its own in front of DCMTK's."""


def program(name: str) -> str:
    """Path of a program of the system; skips or fails the test if it is missing."""
    if found := shutil.which(name, path=_SYSTEM):
        return found
    _missing(f"{name} is not installed; run scripts/install-services.sh")


def _missing(reason: str) -> NoReturn:
    if os.environ.get("BAYESCOPE_REQUIRE_SERVICES"):
        pytest.fail(reason)
    pytest.skip(reason)


def dciodvfy_errors(path: Path) -> list[str]:
    """What dciodvfy finds wrong with a DICOM file; its warnings are left out."""
    told = subprocess.run([program("dciodvfy"), path], capture_output=True, text=True, errors="replace", timeout=60)
    return [line for line in (told.stdout + told.stderr).splitlines() if line.startswith("Error")]


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Orthanc:
    """An Orthanc on free ports of 127.0.0.1 that keeps everything below ``folder``, and its REST interface.

    Its ports and data stay the same when it is stopped and started again.  ``settings`` are added to its configuration.
    """

    ae_title = "ORTHANC"

    def __init__(self, folder: Path, **settings: Any) -> None:
        if not DICOMWEB_PLUGIN.exists():
            _missing(f"{DICOMWEB_PLUGIN.name} is not installed; run scripts/install-services.sh")
        self.dicom_port, self.http_port = free_port(), free_port()
        self._log, self._configuration = folder / "orthanc.log", folder / "orthanc.json"
        self._process: subprocess.Popen[bytes] | None = None
        storage = folder / "storage"
        storage.mkdir(parents=True)
        configuration = {
            "Name": "Bayescope tests",
            "StorageDirectory": str(storage),
            "IndexDirectory": str(storage),
            "Plugins": [str(DICOMWEB_PLUGIN)],
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomPort": self.dicom_port,
            "DicomAet": self.ae_title,
            "DicomAlwaysAllowEcho": True,
            "DicomAlwaysAllowStore": True,
            "StorageCompression": False,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }
        self._configuration.write_text(json.dumps(configuration | settings))

    @property
    def url(self) -> str:
        """Of the REST interface, without a slash at the end."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def dicomweb_url(self) -> str:
        """Of the DICOMweb service."""
        return f"{self.url}/dicom-web"

    def start(self, seconds: float = 60.0) -> None:
        """Start it, and return once it answers."""
        deadline = time.monotonic() + seconds
        while True:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen([program("Orthanc"), self._configuration], stdout=log, stderr=log)
            if self._answers(deadline):
                return
            if time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"Orthanc does not answer:\n{self._log.read_text(errors='replace')[-2000:]}")
            self.kill()  # it ended by itself: the one before still holds the database

    def _answers(self, deadline: float) -> bool:
        assert self._process is not None
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.get("system")
            except OSError:
                time.sleep(0.05)
            else:
                return True
        return False

    def stop(self) -> None:
        """End it as the system does, and wait until it has."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(60)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()

    def get(self, path: str) -> bytes:
        """The answer to GET of a path of the REST interface, such as ``instances``."""
        return self._ask(path)

    def get_json(self, path: str) -> Any:
        """The same, from JSON."""
        return json.loads(self._ask(path))

    def post_json(self, path: str, content: Any) -> None:
        """POST JSON to a path, such as ``modalities/NAME/store``."""
        self._ask(path, json.dumps(content).encode())

    def put_json(self, path: str, content: Any) -> None:
        """PUT it, such as to ``modalities/NAME``."""
        self._ask(path, json.dumps(content).encode(), "PUT")

    def store(self, file: Path) -> str:
        """Store a file over REST, and return Orthanc's own name of the instance."""
        answer = json.loads(self._ask("instances", file.read_bytes()))
        return str(answer["ID"])

    def instance_uids(self) -> list[str]:
        """SOP Instance UIDs of all that it holds, sorted."""
        found = self.get_json("instances?expand")
        return sorted(instance["MainDicomTags"]["SOPInstanceUID"] for instance in found)

    def instance(self, sop_instance_uid: str) -> FileDataset:
        """A stored object as it is in the archive."""
        answer = json.loads(self._ask("tools/lookup", sop_instance_uid.encode()))
        (name,) = [found["ID"] for found in answer if found["Type"] == "Instance"]
        return dcmread(io.BytesIO(self.get(f"instances/{name}/file")))

    def _ask(self, path: str, content: bytes | None = None, method: str | None = None) -> bytes:
        request = urllib.request.Request(f"{self.url}/{path}", data=content, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            body: bytes = answer.read()
        return body
