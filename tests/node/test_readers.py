"""The model of a run as a reader: reports that say what the model says, for the images that it can read."""

from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from bayescope.errors import ConfigError
from bayescope.inference.read import read_for_model
from bayescope.node.combiner import Unread
from bayescope.node.config import CombineConfig, ReadingConfig
from bayescope.node.readers import Answered, RunReader, load_reader
from bayescope.runs.model_file import load_model
from nodes import image_file

CONFIG = ReadingConfig(device="cpu", evidence_maps=False)


def reader_of(run: Path, config: ReadingConfig = CONFIG) -> RunReader:
    return load_reader(run, config, CombineConfig())


def probability(report: object) -> float:
    """Of the finding: the first number of a report."""
    text = str(report)
    return float(text.partition("(0040,A30A) Numeric Value")[2].partition("'")[2].partition("'")[0])


def test_a_report_says_what_the_model_says(prepared_run: Path, tmp_path: Path) -> None:
    files = [image_file(tmp_path / f"{i}.dcm", seed=i) for i in range(3)]
    model = load_model(prepared_run)
    posterior = model.classify(read_for_model(model, files).pixels, trust_tests=True).posterior
    outcomes = reader_of(prepared_run)(files)
    for i, (file, outcome) in enumerate(zip(files, outcomes, strict=True)):
        assert isinstance(outcome, Answered)
        (report,) = outcome.objects
        assert outcome.record["posterior"]["ill"] == pytest.approx(posterior[i][list(model.class_names).index("ill")], abs=1e-6)
        assert report.StudyInstanceUID == dcmread(file).StudyInstanceUID
        assert probability(report) == pytest.approx(posterior[i].max(), abs=1e-6)


def test_results_are_the_same_objects_whatever_is_read_beside(prepared_run: Path, tmp_path: Path) -> None:
    files, reader = [image_file(tmp_path / f"{i}.dcm", seed=i) for i in range(3)], reader_of(prepared_run)

    def objects(*paths: Path) -> list[Dataset]:
        return [made for outcome in reader(paths) if isinstance(outcome, Answered) for made in outcome.objects]

    assert objects(*files) == [made for file in files for made in objects(file)]


def test_evidence_maps_are_made_beside_the_report(prepared_run: Path, tmp_path: Path) -> None:
    (outcome,) = reader_of(prepared_run, ReadingConfig(device="cpu"))([image_file(tmp_path / "a.dcm")])
    assert isinstance(outcome, Answered)
    assert [made.Modality for made in outcome.objects] == ["SR", "OT", "SEG"]


def test_an_image_that_cannot_be_read_is_told_and_the_others_are_read(prepared_run: Path, tmp_path: Path) -> None:
    files = [image_file(tmp_path / f"{i}.dcm", seed=i, frames=1 + (i == 1)) for i in range(3)]
    outcomes = reader_of(prepared_run)(files)
    assert [isinstance(outcome, Unread) for outcome in outcomes] == [False, True, False]
    assert isinstance(outcomes[1], Unread)
    assert "2 frames" in outcomes[1].reason


def test_prevalence_is_of_the_models_classes(prepared_run: Path, tmp_path: Path) -> None:
    file = image_file(tmp_path / "a.dcm")
    for share in (0.01, 0.4):
        config = CONFIG.model_copy(update={"prevalence": {"ill": share, "well": 1 - share}})
        (outcome,) = reader_of(prepared_run, config)([file])
        assert isinstance(outcome, Answered)
        assert f"{share:.2g}" in str(outcome.objects[0])
    with pytest.raises(ConfigError, match="expected one for each of: ill, well"):
        reader_of(prepared_run, CONFIG.model_copy(update={"prevalence": {"sick": 0.5, "well": 0.5}}))


def test_a_model_of_plain_images_is_refused(tiny_run: Path) -> None:
    with pytest.raises(ConfigError, match="Train on a cache"):
        reader_of(tiny_run, CONFIG)
