"""Images fetched from a real Orthanc by DICOMweb."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread

from bayescope.node.config import NodeConfig
from bayescope.node.journal import LOG
from bayescope.node.maintenance import node_status
from bayescope.node.poll import study_filters
from mammograms import SYNTAXES
from nodes import FakeReader, image_file, node_config, running, until
from services import Orthanc

pytestmark = pytest.mark.slow


def polling(folder: Path, url: str, **poll: Any) -> NodeConfig:
    """A node that fetches from, and sends to, a DICOMweb server."""
    server = {"url": url, "every_s": 0.2, "timeout_s": 5}
    return node_config(folder, listen=None, poll=server | poll, destinations=[{"name": "web", "url": url}])


def test_images_are_fetched_and_results_put_back_into_the_study(tmp_path: Path, orthanc: Orthanc) -> None:
    files = [image_file(tmp_path / f"{i}.dcm", seed=i, StudyInstanceUID="1.2.3", syntax=SYNTAXES[i]) for i in range(3)]

    for file in files[:2]:
        orthanc.store(file)
    config, reader = polling(tmp_path / "node", orthanc.dicomweb_url), FakeReader()
    with running(config, reader):
        until(lambda: len(orthanc.instance_uids()) == 4)
        orthanc.store(files[2])
        until(lambda: len(orthanc.instance_uids()) == 6)
        until(lambda: node_status(config)["deliveries"] == {"sent": 3})
    assert sorted(reader.read) == sorted(dcmread(file).SOPInstanceUID for file in files)
    kept = {dcmread(file).SOPInstanceUID: dcmread(file) for file in (config.folder / "objects").rglob("*.dcm")}
    for file in files:
        sent = dcmread(file)
        assert kept[sent.SOPInstanceUID].file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
        assert kept[sent.SOPInstanceUID].PixelData == sent.PixelData


def test_filters_choose_studies_and_series(tmp_path: Path, orthanc: Orthanc) -> None:
    kinds = {"MG": "1.2.1", "US": "1.2.2"}
    for modality, study in kinds.items():
        orthanc.store(image_file(tmp_path / f"{modality}.dcm", Modality=modality, StudyInstanceUID=study))
    orthanc.store(image_file(tmp_path / "DX.dcm", Modality="DX", StudyInstanceUID="1.2.1"))
    reader = FakeReader()
    config = polling(
        tmp_path / "node", orthanc.dicomweb_url, filters={"StudyInstanceUID": "1.2.1"}, modalities=["MG"], every_s=60
    )
    with running(config, reader):
        until(lambda: node_status(config)["answers"] == {"answered": 1})
    assert reader.read == [dcmread(tmp_path / "MG.dcm").SOPInstanceUID]


def test_what_is_no_readable_image_is_recorded_and_fetched_once(tmp_path: Path, orthanc: Orthanc) -> None:
    orthanc.store(image_file(tmp_path / "a.dcm", frames=60, StudyInstanceUID="1.2.1"))
    config = polling(tmp_path / "node", orthanc.dicomweb_url)
    with running(config) as node:
        until(lambda: node_status(config)["instances"] == {"skipped": 1})
        (row,) = node.database.rows("SELECT reason, file FROM instances")
    assert "60 frames" in row["reason"]
    assert row["file"] == ""


def test_an_image_that_the_server_does_not_give_holds_up_no_other(
    tmp_path: Path, orthanc: Orthanc, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [image_file(tmp_path / f"{i}.dcm", seed=i, StudyInstanceUID="1.2.3") for i in range(3)]
    uids = [str(dcmread(file).SOPInstanceUID) for file in files]
    for file in files:
        orthanc.store(file)
    retrieve, refused = DICOMwebClient.retrieve_instance, {uids[0]}

    def retrieve_some(client: DICOMwebClient, study: str, series: str, uid: str, **options: Any) -> Any:
        return retrieve(client, study, series, "1.2.3.4" if uid in refused else uid, **options)

    monkeypatch.setattr(DICOMwebClient, "retrieve_instance", retrieve_some)
    config, reader = polling(tmp_path / "node", orthanc.dicomweb_url), FakeReader()
    with running(config, reader):
        until(lambda: len(reader.read) == 2)
        until(lambda: "HTTP 404" in (config.folder / LOG).read_text())
        refused.clear()
        until(lambda: len(reader.read) == 3)
    assert sorted(reader.read) == sorted(uids)


def test_a_server_that_is_away_is_asked_again(tmp_path: Path) -> None:
    orthanc = Orthanc(tmp_path / "orthanc")
    config, reader = polling(tmp_path / "node", orthanc.dicomweb_url), FakeReader()
    with running(config, reader):
        until(lambda: "search failed" in (config.folder / "node.jsonl").read_text())
        with orthanc:
            orthanc.store(image_file(tmp_path / "a.dcm"))
            until(lambda: reader.read)


def test_late_studies_only(tmp_path: Path) -> None:
    def filters(**poll: Any) -> dict[str, str]:
        config = polling(tmp_path, "http://a", filters={"ModalitiesInStudy": "MG"}, **poll).poll
        assert config
        return study_filters(config, date(2026, 3, 2))

    assert filters() == {"ModalitiesInStudy": "MG"}
    assert filters(days=3) == {"ModalitiesInStudy": "MG", "StudyDate": "20260227-"}
