"""Instances by reference, from a real archive."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from bayescope.dicom import to_bytes
from bayescope.service.settings import ServiceSettings
from dicom_sources import SOURCES, written
from services import Orthanc
from serving import client_of


def test_an_instance_in_the_archive_is_read_as_if_it_had_been_sent(
    prepared_run: Path, orthanc: Orthanc, tmp_path: Path
) -> None:
    source = written(SOURCES["mammogram"]())
    (tmp_path / "a.dcm").write_bytes(to_bytes(source))
    orthanc.store(tmp_path / "a.dcm")
    reference = {"study": source.StudyInstanceUID, "series": source.SeriesInstanceUID, "instance": source.SOPInstanceUID}
    with client_of(prepared_run, ServiceSettings(dicomweb=orthanc.dicomweb_url)) as client:
        (found,) = client.post("/v1/classify", data=reference).json()["records"]
        (sent,) = client.post("/v1/classify", files=[("files", (found["image"], to_bytes(source)))]).json()["records"]
        assert found == sent
        missing = client.post("/v1/classify", data=reference | {"instance": "1.2.3"})
        assert missing.status_code == 422
        assert "instance 1.2.3: cannot be retrieved" in missing.json()["error"]
        part = client.post("/v1/classify", data={"study": "1.2.3"})
        assert "expected all of study, series and instance" in part.json()["error"]


@pytest.mark.parametrize("uid", ["http://elsewhere/1", "1.2/../3", "1.2?x", "1" * 65])
def test_a_reference_is_nothing_but_uids(client: TestClient, uid: str) -> None:
    answer = client.post("/v1/classify", data={"study": uid, "series": "1", "instance": "1"})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("study: String should")
