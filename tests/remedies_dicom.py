"""Remedies for DICOM objects; see ``remedies.py``."""

import shutil
from pathlib import Path

from pydicom import dcmread

from bayescope.dicom import ModelIdentity, evidence_on_source, measurement_report
from bayescope.inference.explain import explain
from bayescope.inference.read import read_for_model
from bayescope.runs.model_file import load_model
from mammograms import mammogram, write_mammogram
from remedies import Place, remedy

UIDS = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4"}


def image(p: Place, name: str = "a.dcm", height: int = 24, **elements: object) -> Path:
    return write_mammogram(p.folder / name, mammogram(height, 16), **UIDS | elements)


@remedy("cli.dicom_objects:codes_of_objects", "--codes without {}; expected both. Add {}, or leave --codes out")
@remedy("cli.dicom_objects:codes_of_objects", "which holds no DICOM headers; expected DICOM files. Give the files themselves")
@remedy("dicom.codes:class_codes", "expected classes of the model: {}. Correct the names")
@remedy("dicom.write:check_takes_dicom", "Train on a cache of `bayescope prepare`: its model reads DICOM")
def what_objects_need(p: Place) -> None:
    source, codes = image(p), p.folder / "codes.toml"
    codes.write_text('[dicom.codes.ail]\nscheme = "SCT"\nvalue = "39104002"\nmeaning = "Illness"')
    words = ("classify", p.prepared, source)
    p.refused(*words, "--sr", p.out, "--codes", codes)
    codes.write_text(codes.read_text().replace("ail", "ill"))
    p.refused(*words, "--codes", codes)
    p.works(*words, "--sr", p.out, "--codes", codes)
    p.works(*words)
    p.refused("classify", p.prepared, p.prepared.parent / "cache", "--sr", p.out)
    p.refused("classify", p.trained, p.picture(), "--sr", p.out)


@remedy("dicom.write:_write", "exists already with another content; give --force to replace it, or another folder")
def another_file_in_the_way(p: Place) -> None:
    words = ("classify", p.prepared, image(p), "--sr")
    p.works(*words, p.out)
    (path,) = p.out.iterdir()
    path.write_bytes(b"")
    p.refused(*words, p.out)
    p.works(*words, p.folder / "another")
    p.works(*words, p.out, "--force")


@remedy("dicom.write:write_reports", "no DICOM file; expected one. Leave it out, or do without a report of it")
@remedy("dicom.source:source_of", "to which an object can refer. Export it from the archive again")
def no_report(p: Place) -> None:
    picture, bare, whole = p.picture("b.png", mammogram(24, 16) >> 4), image(p, "c.dcm", StudyInstanceUID=""), image(p)
    p.refused("classify", p.prepared, picture, bare, whole, "--sr", p.out, code=1)
    p.works("classify", p.prepared, picture)
    shutil.copy(whole, bare)
    p.works("classify", p.prepared, bare, whole, "--sr", p.folder / "another")


@remedy("dicom.group_report:group_report", "or group the images otherwise")
def patients_of_one_study(p: Place) -> None:
    two = [image(p, f"{i}.dcm", PatientID=f"P{i}", SOPInstanceUID=f"1.2.3.4.{i}") for i in range(2)]
    p.refused("classify", p.prepared, *two, "--by", "study", "--sr", p.out, code=1)
    p.works("classify", p.prepared, *two, "--by", "patient", "--sr", p.folder / "another")


@remedy("dicom.source:source_of", "Name the frame that was read")
def frame_not_named(p: Place) -> None:
    model, path, identity = load_model(p.prepared), image(p, frames=3), ModelIdentity.of(p.prepared)
    found = read_for_model(model, [path], frame=2)
    (record,) = model.classify(found.pixels).records(model, found.names)
    p.raises(lambda: measurement_report(dcmread(path), record, identity))
    measurement_report(dcmread(path), record, identity, frame=2)


@remedy("dicom.evidence:evidence_on_source", "of the image that was prepared. Give that file")
def another_file_than_prepared(p: Place) -> None:
    model, path, other = load_model(p.prepared), image(p), image(p, "b.dcm", height=30)
    found = read_for_model(model, [path])
    explanation, (preparation,) = explain(model, found.pixels), found.preparations
    assert preparation is not None
    p.raises(lambda: evidence_on_source(other, explanation, preparation))
    evidence_on_source(path, explanation, preparation)
