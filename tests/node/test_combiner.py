"""The model of a run combines the images of a study: what it reports is what ``bayescope classify --by`` says of them."""

import json
from pathlib import Path
from typing import Any

import highdicom as hd
import pytest
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes as dicom_codes

from bayescope.dicom import codes, to_bytes
from bayescope.errors import ConfigError
from bayescope.node.combiner import Combiner, Unread
from bayescope.node.config import CombineConfig, ReadingConfig
from bayescope.node.maintenance import node_status
from bayescope.node.readers import load_reader
from bayescope.node.service import Node
from conftest import Call
from nodes import archive_of, image_file, node_config, send, taught, until
from services import dciodvfy_errors

READING = ReadingConfig(device="cpu", evidence_maps=False)
OF = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4"}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two views of the left breast and one of the right, in order of their UIDs."""
    sides = enumerate("LLR")
    return [
        image_file(tmp_path / "study" / f"{i}.dcm", seed=i, SOPInstanceUID=f"1.2.3.4.{i}", ImageLaterality=side, **OF)
        for i, side in sides
    ]


def combiner_of(run: Path, **config: Any) -> Combiner:
    found = load_reader(run, READING, CombineConfig(**config)).combiner
    assert found
    return found


def reports(combiner: Combiner, files: list[Path], unread: list[Path] | None = None) -> list[Dataset]:
    found = combiner(files, unread or [])
    assert not isinstance(found, Unread)
    return found


def group_in(report: Dataset) -> hd.sr.MeasurementsAndQualitativeEvaluations:
    (group,) = hd.sr.ComprehensiveSR.from_dataset(report).content.get_image_measurement_groups()
    return group


def comments_of(report: Dataset) -> list[str]:
    texts, waiting = [], list(report.ContentSequence)
    while waiting:
        item = waiting.pop()
        waiting += list(item.get("ContentSequence", []))
        if item.get("ConceptNameCodeSequence") and item.ConceptNameCodeSequence[0].CodeValue == dicom_codes.DCM.Comment.value:
            texts.append(str(item.TextValue))
    return texts


def test_a_report_is_that_of_the_command(prepared_run: Path, files: list[Path], tmp_path: Path, cli: Call) -> None:
    run = taught(prepared_run, tmp_path / "taught")
    (report,) = reports(combiner_of(run), files)
    told = cli("classify", run, tmp_path / "study", "--by", "study", "--json", "--sr", tmp_path / "sr")
    assert told.code == 0, told.err
    assert (tmp_path / "sr" / f"SR.{report.SOPInstanceUID}.dcm").read_bytes() == to_bytes(report)
    printed = next(line for line in map(json.loads, told.out.splitlines()) if line.get("study") == "1.2.3")
    assert printed["correlation"] == 0.4
    (ratio,) = group_in(report).get_measurements(codes.LOG_LIKELIHOOD_RATIO)
    assert ratio.value == printed["log_likelihood_ratio"][printed["class"]]


def test_a_report_is_read_back(prepared_run: Path, files: list[Path], tmp_path: Path) -> None:
    (report,) = reports(combiner_of(taught(prepared_run, tmp_path / "taught")), files)
    path = tmp_path / "sr.dcm"
    path.write_bytes(to_bytes(report))
    assert dciodvfy_errors(path) == []
    group = group_in(hd.sr.srread(path))
    shares = group.get_measurements(codes.SHARE)
    (ratio,) = group.get_measurements(codes.LOG_LIKELIHOOD_RATIO)
    assert sum(share.value for share in shares) == pytest.approx(ratio.value)
    referred = [share.referenced_images[0].referenced_sop_instance_uid for share in shares]
    assert referred == [dcmread(file).SOPInstanceUID for file in files]
    assert report.StudyInstanceUID == "1.2.3"
    assert report.PatientID == "12345"
    assert "3 images combined" in comments_of(report)


def test_each_breast_with_two_images_has_a_report(prepared_run: Path, files: list[Path], tmp_path: Path) -> None:
    """The right has one, whose own report says it all; a further one of the left could not be read."""
    combiner = combiner_of(taught(prepared_run, tmp_path / "taught", by="breast"), by="breast")
    unread = [image_file(tmp_path / f"{side}.dcm", seed=9, ImageLaterality=side, **OF) for side in "LRR"]
    (report,), (whole,) = reports(combiner, files, unread), reports(combiner, files)
    assert [found.finding_sites[0].laterality.meaning for found in map(group_in, (report, whole))] == ["Left", "Left"]
    assert "2 images combined; 1 more could not be read" in comments_of(report)
    assert "2 images combined" in comments_of(whole)
    assert report.SOPInstanceUID != whole.SOPInstanceUID, "they differ in their content"
    assert reports(combiner, files[1:]) == []


def test_images_that_do_not_tell_their_breast_are_not_combined(prepared_run: Path, tmp_path: Path) -> None:
    combiner = combiner_of(taught(prepared_run, tmp_path / "taught", by="breast"), by="breast")
    assert reports(combiner, [image_file(tmp_path / f"{i}.dcm", seed=i, ImageLaterality="", **OF) for i in (0, 1)]) == []


def test_one_image_may_be_enough_for_a_class(prepared_run: Path, files: list[Path], tmp_path: Path) -> None:
    run = taught(prepared_run, tmp_path / "taught", any_of="ill")
    (report,) = reports(combiner_of(run, any_of="ill"), files)
    assert "a study is ill if any image is" in comments_of(report)
    assert load_reader(run, READING, CombineConfig()).combiner is None, "this it did not learn"
    with pytest.raises(ConfigError, match=r"combine\.any_of sick; expected one of the classes"):
        load_reader(run, READING, CombineConfig(any_of="sick"))


def test_what_was_not_learned_or_not_asked_for_is_not_combined(prepared_run: Path, tmp_path: Path) -> None:
    run = taught(prepared_run, tmp_path / "taught")
    assert load_reader(prepared_run, READING, CombineConfig()).combiner is None
    assert load_reader(run, READING, CombineConfig(by="breast")).combiner is None
    assert load_reader(run, READING, CombineConfig(by="none")).combiner is None


@pytest.mark.parametrize("other", ["67890", ""])
def test_images_of_several_patients_are_not_one_report(
    prepared_run: Path, files: list[Path], tmp_path: Path, other: str
) -> None:
    """Under the UID of one study, where a system gave it twice."""
    run = taught(prepared_run, tmp_path / "taught")
    stranger = image_file(tmp_path / "s.dcm", seed=9, PatientID=other, SOPInstanceUID="1.2.3.4.9", **OF)
    found = combiner_of(run)([*files, stranger], [])
    assert isinstance(found, Unread)
    assert "images of several patients in one group" in found.reason
    assert "12345" not in found.reason


def test_an_image_that_is_gone_is_told(prepared_run: Path, files: list[Path], tmp_path: Path) -> None:
    combiner = combiner_of(taught(prepared_run, tmp_path / "taught"))
    content = files[1].read_bytes()
    files[1].write_bytes(content[: len(content) - 500])
    found = combiner(files, [])
    assert isinstance(found, Unread)
    assert files[1].name in found.reason


@pytest.mark.slow
def test_a_node_sends_the_report_of_the_run(prepared_run: Path, files: list[Path], tmp_path: Path) -> None:
    run = taught(prepared_run, tmp_path / "taught")
    config = node_config(tmp_path / "node", reading=READING.model_dump(exclude_none=True))
    config.folder.mkdir()
    node, archive = Node(config, run, {run: load_reader(run, config.reading, config.combine)}), archive_of(config)
    node.start()
    try:
        with archive.listening():
            assert send(config, *reversed(files)) == [0, 0, 0]
            until(lambda: node_status(config)["deliveries"] == {"sent": 4}, 60)
    finally:
        node.stop()
    (report,) = reports(combiner_of(run), files)
    assert archive.received.count(report.SOPInstanceUID) == 1
