"""An image that is given twice is one image of its group, however it is given."""

import json
from pathlib import Path
from shutil import copy

import pytest
from pydicom import dcmread

from bayescope.inference.combine import combine
from bayescope.inference.group_images import images_in_groups
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.read import read_for_model
from bayescope.runs.model_file import load_model
from conftest import Call
from mammograms import mammogram, write_mammogram

TOLD = "left out: an image given before, which counts once"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two views of a patient."""
    for i in (0, 1):
        of = {"PatientID": "P1", "StudyInstanceUID": "1.2.3", "SOPInstanceUID": f"1.2.3.{i}"}
        write_mammogram(tmp_path / "study" / f"{i}.dcm", mammogram(24, 16, seed=i), **of)
    return tmp_path / "study"


@pytest.fixture
def model(prepared_run: Path) -> LikelihoodModel:
    return load_model(prepared_run)


def lines(text: str) -> list[dict[str, object]]:
    return list(map(json.loads, text.splitlines()))


def test_a_file_given_by_itself_and_with_its_folder_counts_once(prepared_run: Path, study: Path, cli: Call) -> None:
    by = ("--by", "patient", "--json")
    twice, once = (cli("classify", prepared_run, *given, *by) for given in ((study, study / "1.dcm"), (study,)))
    *answers, summary = lines(twice.out)
    assert answers == lines(once.out)[:-1]
    assert summary == {
        "summary": {"found": 3, "used": 2, "left_out": {"an image given before, which counts once": 1}},
    }
    assert f"1.dcm: {TOLD}" in twice.err
    assert TOLD not in once.err


def test_the_same_words_twice_are_told_of(prepared_run: Path, study: Path, cli: Call) -> None:
    told = cli("classify", prepared_run, study, study, "--by", "patient", "--json")
    assert f"2 images, such as {study / '0.dcm'}: {TOLD}" in " ".join(told.err.split())
    assert len([line for line in lines(told.out) if "image" in line]) == 2


def test_without_groups_each_is_answered_as_often_as_it_is_given(prepared_run: Path, study: Path, cli: Call) -> None:
    told = cli("classify", prepared_run, study / "0.dcm", study / "0.dcm", "--json")
    assert len(lines(told.out)) == 2
    assert TOLD not in told.err


def test_links_and_copies_of_an_instance_count_once(model: LikelihoodModel, study: Path, tmp_path: Path) -> None:
    """A picture of the same pixels that is another instance does not."""
    link, copied, other = tmp_path / "link.dcm", tmp_path / "copy.dcm", tmp_path / "other.dcm"
    link.symlink_to(study / "0.dcm")
    copy(study / "1.dcm", copied)
    changed = dcmread(study / "1.dcm")
    changed.SOPInstanceUID = "1.2.3.9"
    changed.save_as(other)
    images = read_for_model(model, [study, link, copied, other])
    found = images_in_groups(images, "patient")
    assert found.images.paths == (study / "0.dcm", study / "1.dcm", other)
    assert found.keys == ("P1",) * 3
    assert (found.images.pixels == images.pixels[[0, 1, 4]]).all()
    assert [file.path for file in found.images.left_out] == [link, copied]
    assert not found.images.failed
    assert (found.images.files.found, found.images.files.used) == (5, 3)
    groups = combine(model, model.classify(found.images.pixels), found.keys, "patient")
    assert [len(members) for members in groups.members] == [3]


def test_copies_in_other_groups_are_other_images(model: LikelihoodModel, study: Path, tmp_path: Path) -> None:
    copied = Path(copy(study / "0.dcm", tmp_path / "copy.dcm"))
    (tmp_path / "groups.csv").write_text("path,patient\nstudy/0.dcm,a\ncopy.dcm,b\nstudy/1.dcm,b\n")
    images = read_for_model(model, [study, copied])
    found = images_in_groups(images, "patient", tmp_path / "groups.csv")
    assert found.images is images
    assert found.keys == ("a", "b", "b")
    assert found.warnings == ()


def test_a_file_of_no_known_group_counts_once(model: LikelihoodModel, study: Path, tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_text("path,patient\nstudy/1.dcm,b\n")
    found = images_in_groups(read_for_model(model, [study, study]), "patient", tmp_path / "groups.csv")
    assert found.keys == ("", "b")


def test_all_frames_of_a_file_are_one_file(model: LikelihoodModel, tmp_path: Path) -> None:
    file = write_mammogram(tmp_path / "a.dcm", mammogram(24, 16), frames=3, PatientID="P1")
    found = images_in_groups(read_for_model(model, [file, file], "all"), "patient")
    assert found.images.frames == (1, 2, 3)
    assert (found.images.files.found, found.images.files.used) == (2, 1)
