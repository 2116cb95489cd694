"""Work on complete studies: their images are combined, and the reports put into the outbox."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from bayescope.errors import RunError
from bayescope.node.combinations import Combinations, Study
from bayescope.node.combiner import Combiner, Unread
from bayescope.node.config import NodeConfig
from bayescope.node.journal import Journal, Pseudonyms, describe
from bayescope.node.metrics import Metrics
from bayescope.node.queue import Instance
from bayescope.node.readers import Reader
from bayescope.node.storage import OBJECTS, Storage
from bayescope.node.work import write_result


@dataclass(frozen=True)
class StudyWorker:
    """The models by run folder, where images come from and reports go."""

    config: NodeConfig
    readers: Mapping[Path, Reader]
    combinations: Combinations
    storage: Storage
    pseudonyms: Pseudonyms
    journal: Journal
    metrics: Metrics

    def tell(self) -> None:
        """Log which models combine images, and which did not learn to."""
        by = self.config.combine.by
        for reader in self.readers.values():
            if by != "none":
                is_learned = reader.combiner is not None
                self.journal.event("combines images" if is_learned else "did not learn to combine", model=reader.model, by=by)

    def step(self) -> int:
        """Have every model combine a study that is complete; the number of studies."""
        combiners = {reader.model: reader.combiner for reader in self.readers.values()}
        return sum(self.combine(model, combiner) for model, combiner in combiners.items() if combiner)

    def combine(self, model: str, combiner: Combiner) -> int:
        """Combine the next complete study; the number of studies."""
        study = self.combinations.claim(model)
        if study is None:
            return 0
        began, uid = time.monotonic(), study.study_instance_uid
        objects = len(study.answered)
        self.journal.audit("DICOM Instances Accessed", "R", studies=[uid], objects=objects, model=model)
        try:
            found = combiner(self._paths(study.answered), self._paths(study.failed))
            if isinstance(found, Unread):
                self._failed(study, found.reason)
            else:
                self._record(study, found, time.monotonic() - began)
        except RunError as error:
            self.journal.event("combined report not written", "error", study=uid, error=describe(error))
            self.combinations.release(study)
            return 0
        except Exception as error:  # this study cannot be combined: others can
            self._failed(study, describe(error))
        return 1

    def _paths(self, images: tuple[Instance, ...]) -> list[Path]:
        return [self.storage.path(OBJECTS, image.file) for image in images]

    def _record(self, study: Study, reports: list[Dataset], seconds: float) -> None:
        results = [write_result(self.storage, self.pseudonyms, report) for report in reports]
        self.combinations.record(study, results, [destination.name for destination in self.config.destinations])
        self.metrics.combined.labels("combined" if results else "single").inc()
        self.journal.event(
            "study combined",
            study=study.study_instance_uid,
            images=len(study.answered),
            failed=len(study.failed),
            results=len(results),
            seconds=round(seconds, 4),
        )

    def _failed(self, study: Study, reason: str) -> None:
        self.combinations.fail(study, reason)
        self.metrics.combined.labels("failed").inc()
        self.journal.event("study not combined", "error", study=study.study_instance_uid, error=reason)
