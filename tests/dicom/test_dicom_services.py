"""The programs that the tests of DICOM objects rest on: they find what is wrong, and keep what they are given."""

from pathlib import Path

from pydicom import dcmread

from mammograms import mammogram, write_mammogram
from services import Orthanc, dciodvfy_errors


def test_dciodvfy_finds_a_missing_attribute(tmp_path: Path) -> None:
    assert any("PatientName" in line for line in dciodvfy_errors(write_mammogram(tmp_path / "a.dcm", mammogram())))


def test_orthanc_keeps_what_was_acknowledged(orthanc: Orthanc, tmp_path: Path) -> None:
    elements = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4"}
    file = write_mammogram(tmp_path / "a.dcm", mammogram(64, 48), **elements)
    orthanc.store(file)
    orthanc.kill()
    orthanc.start()
    (uid,) = orthanc.instance_uids()
    assert orthanc.instance(uid).PixelData == dcmread(file).PixelData
