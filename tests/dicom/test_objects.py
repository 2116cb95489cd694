"""All objects about one image in one call."""

from pathlib import Path

import pytest

from bayescope import explain, load_model, read_for_model
from bayescope.dicom import ModelIdentity, read_source, result_objects, write_objects
from bayescope.dicom.source import source_of
from bayescope.errors import DataError
from mammograms import mammogram, write_mammogram
from services import dciodvfy_errors


def test_a_report_and_with_an_explanation_its_map(prepared_run: Path, tmp_path: Path) -> None:
    path = write_mammogram(tmp_path / "a.dcm", mammogram(24, 16), StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.4")
    model, identity = load_model(prepared_run), ModelIdentity.of(prepared_run)
    found = read_for_model(model, [path])
    (record,) = model.classify(found.pixels).records(model, found.names)
    explanation, (preparation,) = explain(model, found.pixels), found.preparations
    assert [made.Modality for made in result_objects(path, record, identity)] == ["SR"]
    made = result_objects(path, record, identity, explanation=explanation, preparation=preparation)
    assert [each.Modality for each in made] == ["SR", "OT", "SEG"]
    assert {each.StudyInstanceUID for each in made} == {"1.2.3"}
    assert len({each.SeriesInstanceUID for each in made} | {"1.2.3.4"}) == 4
    assert [dciodvfy_errors(file) for file in write_objects(made, tmp_path / "out")] == [[], [], []]


@pytest.mark.slow
def test_real_files(shared_data: Path, prepared_run: Path, tmp_path: Path) -> None:
    """The last frame of each public file that can be read and has the UIDs: objects without errors."""
    model, identity, n_made = load_model(prepared_run), ModelIdentity.of(prepared_run), 0
    for path in sorted(path for path in shared_data.rglob("*.dcm") if path.stat().st_size < 2**24):
        found = read_for_model(model, [path], frame="all")
        if not found.names or not has_uids(path):
            continue
        (record,) = model.classify(found.pixels[-1:]).records(model, found.names[-1:])
        explained = explain(model, found.pixels[-1:]), found.preparations[-1]
        made = result_objects(path, record, identity, None, found.frames[-1], *explained)
        n_made += 1
        assert [dciodvfy_errors(file) for file in write_objects(made, tmp_path, force=True)] == [[], [], []], path.name
    assert n_made > 20


def has_uids(path: Path) -> bool:
    try:
        return source_of(read_source(path), 1) is not None
    except DataError:
        return False
