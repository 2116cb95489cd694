"""The images of a study combined by the model of a run: files in, a report of each breast, patient or study out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset
from pydicom.sr.coding import Code

from bayescope.data.groups import members_of
from bayescope.dicom import ModelIdentity, group_report, read_source
from bayescope.errors import DataError
from bayescope.evaluation.evaluate import check_class
from bayescope.inference.combine import adds_up, combine
from bayescope.inference.group_keys import header_keys
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.read import read_for_model
from bayescope.node.config import CombineConfig, ReadingConfig


@dataclass(frozen=True)
class Unread:
    """What could not be read, and why."""

    reason: str


Combiner = Callable[[Sequence[Path], Sequence[Path]], list[Dataset] | Unread]
"""Makes the reports of a study of the files of its images, and of those that the model could not read before."""


@dataclass(frozen=True)
class RunCombiner:
    """The trained model of a run that learned how the evidence of several images adds up."""

    model: LikelihoodModel
    identity: ModelIdentity
    codes: Mapping[str, Code]
    reading: ReadingConfig
    config: CombineConfig

    def __call__(self, files: Sequence[Path], unread: Sequence[Path]) -> list[Dataset] | Unread:
        """A report of each breast, patient or study with two images or more, for which they are scored in full.

        None of images under the UID of one study whose patients differ: it would be filed under the first of them.
        """
        keys = header_keys([*files, *unread], self.config.by)
        _, groups = members_of(keys[: len(files)])
        chosen = sorted(i for members in groups if len(members) > 1 for i in members)
        if not chosen:
            return []
        images = read_for_model(self.model, [files[i] for i in chosen])
        if images.failed:
            return Unread(images.failed[0].reason)
        predictions = self.model.classify(images.pixels, self.reading.prevalence, 0.0, trust_tests=True)
        found = combine(self.model, predictions, [keys[i] for i in chosen], self.config.by, self.config.any_of)
        records = found.records(images.names, [self.model.calibration.warning])
        try:
            return [
                group_report(
                    [read_source(images.paths[i]) for i in members],
                    record,
                    self.identity,
                    self.codes,
                    left_out=keys[len(files) :].count(name),
                )
                for name, members, record in zip(found.names, found.members, records, strict=True)
            ]
        except DataError as error:
            return Unread(str(error))


def combiner_of(
    model: LikelihoodModel, identity: ModelIdentity, codes: Mapping[str, Code], reading: ReadingConfig, config: CombineConfig
) -> RunCombiner | None:
    """What combines images as configured; None if none are to be, or the model did not learn how their evidence adds up.

    Raises ConfigError if the class of which one image is enough is not of its classes.
    """
    check_class(config.any_of, model.class_names, "combine.any_of")
    pooling = model.post_hoc.pooling_of(config.by, config.any_of, len(model.class_names))
    if not pooling.fitted or not adds_up(model, config.any_of):
        return None
    return RunCombiner(model, identity, codes, reading, config)
