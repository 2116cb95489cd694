"""Reading of images by the model of a run: files in, result objects out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydicom import Dataset
from pydicom.sr.coding import Code

from bayescope.dicom import ModelIdentity, check_takes_dicom, class_codes, result_objects
from bayescope.errors import DataError
from bayescope.evaluation.selection import seen_splits
from bayescope.inference.batch_invariant import batch_invariant
from bayescope.inference.drift import DriftTest
from bayescope.inference.explain import explain
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.predictions import check_prior
from bayescope.inference.read import ModelInput, read_for_model
from bayescope.node.combiner import Combiner, Unread, combiner_of
from bayescope.node.config import CombineConfig, DriftConfig, ReadingConfig
from bayescope.node.journal import describe
from bayescope.runs.folder import read_record
from bayescope.runs.model_file import load_model
from bayescope.runs.training_record import TrainingRecord


@dataclass(frozen=True)
class Answered:
    """The DICOM objects made of an image, and its ``record`` of :meth:`bayescope.inference.predictions.Predictions.records`."""

    objects: list[Dataset]
    record: Mapping[str, Any]


Outcome = Answered | Unread
"""What came of an image."""


class Reader(Protocol):
    """A model that makes result objects of image files, identified by its fingerprint, and may combine those of a study."""

    @property
    def model(self) -> str: ...

    @property
    def combiner(self) -> Combiner | None: ...

    def drift_test(self, config: DriftConfig) -> DriftTest: ...

    def __call__(self, files: Sequence[Path]) -> list[Outcome]: ...


@dataclass(frozen=True)
class RunReader:
    """The trained model of a run, with its identity, the codes of its classes and the record of its training images."""

    likelihood_model: LikelihoodModel
    identity: ModelIdentity
    codes: Mapping[str, Code]
    record: TrainingRecord | None
    config: ReadingConfig
    combiner: Combiner | None

    @property
    def model(self) -> str:
        return self.identity.fingerprint

    def drift_test(self, config: DriftConfig) -> DriftTest:
        model, prevalence = self.likelihood_model, self.config.prevalence
        prior = model.class_prior if prevalence is None else check_prior(prevalence, model.class_names)
        return model.drift_test(prior, config.window, config.alpha)

    def __call__(self, files: Sequence[Path]) -> list[Outcome]:
        model = self.likelihood_model
        images = read_for_model(model, files)
        found: dict[Path, Outcome] = {file.path: Unread(file.reason) for file in images.failed}
        if len(images):
            predictions = model.classify(images.pixels, self.config.prevalence, trust_tests=True)
            seen = seen_splits(self.record, images.pixels)
            records = predictions.records(model, images.names, images.remarks, seen)
            for i, record in enumerate(records):
                found[images.paths[i]] = self._objects(images, i, record)
        return [found[file] for file in files]

    def _objects(self, images: ModelInput, i: int, record: Mapping[str, Any]) -> Outcome:
        path, preparation = images.paths[i], images.preparations[i]
        explanation, window = None, 0
        if self.config.evidence_maps and self.likelihood_model.preparation:
            explanation = explain(self.likelihood_model, images.pixels[i : i + 1], self.config.prevalence)
            window = self.likelihood_model.preparation.window
        try:
            objects = result_objects(path, record, self.identity, self.codes, None, explanation, preparation, window)
        except DataError as error:
            return Unread(describe(error))
        return Answered(objects, record)


def load_reader(run: Path, config: ReadingConfig, combine: CombineConfig) -> RunReader:
    """The model of a run folder, ready to read DICOM; what it says of an image does not depend on those read beside it.

    Raises RunError if the folder holds no usable model, and ConfigError if it does not read DICOM, or prevalence, codes or the
    class of which one image is enough are not of its classes.
    """
    model = load_model(run, config.device)
    check_takes_dicom(model)
    if config.prevalence is not None:
        check_prior(config.prevalence, model.class_names)
    codes, identity = class_codes(model.config.dicom, model.class_names), ModelIdentity.of(run)
    model = batch_invariant(model)
    combiner = combiner_of(model, identity, codes, config, combine)
    return RunReader(model, identity, codes, read_record(run), config, combiner)
