"""All objects about one image in one call."""

from pathlib import Path

from bayescope import explain, load_model, read_for_model
from bayescope.dicom import ModelIdentity, result_objects, write_objects
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
