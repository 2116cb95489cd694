"""Work on the queue: images are routed, read by models, and their results put into the outbox."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import Dataset

from bayescope.data.formats.dicom import read_whole_header
from bayescope.dicom import to_bytes
from bayescope.errors import BayescopeError, RunError
from bayescope.inference.drift import Observation
from bayescope.node.combiner import Unread
from bayescope.node.config import NodeConfig
from bayescope.node.drift import DriftWatches
from bayescope.node.journal import Journal, Pseudonyms, describe
from bayescope.node.metrics import Metrics
from bayescope.node.queue import Queue, Result, Task
from bayescope.node.readers import Outcome, Reader
from bayescope.node.routing import choose_runs
from bayescope.node.storage import OBJECTS, RESULTS, Storage

_ROUTED_AT_ONCE = 64


@dataclass(frozen=True)
class Worker:
    """The models by run folder, where images come from and results go; ``run`` reads what the rules name no other for."""

    config: NodeConfig
    run: Path
    readers: Mapping[Path, Reader]
    queue: Queue
    storage: Storage
    pseudonyms: Pseudonyms
    journal: Journal
    metrics: Metrics
    drift: DriftWatches

    @property
    def combining(self) -> set[str]:
        """The models that combine the images of a study."""
        return {reader.model for reader in self.readers.values() if reader.combiner}

    def step(self) -> int:
        """Route what has come, and have every model read a batch; the number of images that were worked on."""
        routed = self.route()
        return routed + sum(self.read(reader) for reader in {reader.model: reader for reader in self.readers.values()}.values())

    def route(self) -> int:
        """Choose the runs that read the images received; the number of images."""
        received = self.queue.received(_ROUTED_AT_ONCE)
        for found in received:
            uid = found.instance.sop_instance_uid
            runs, reason = tuple[Path, ...](), "made by this node"
            if not self.queue.is_result(uid):
                runs, reason = self._runs(self.storage.path(OBJECTS, found.instance.file))
            if runs:
                self.queue.route(found.id, {self.readers[run].model for run in runs})
            else:
                self.queue.skip(found.id, reason)
                self.journal.event("image skipped", instance=uid, reason=reason)
        return len(received)

    def _runs(self, path: Path) -> tuple[tuple[Path, ...], str]:
        try:
            found = choose_runs(read_whole_header(path), self.config.routes, self.run)
        except BayescopeError as error:
            return (), describe(error)
        return found.runs, found.reason

    def read(self, reader: Reader) -> int:
        """Have a model read the next images; the number of images."""
        tasks = self.queue.claim(reader.model, self.config.reading.batch)
        if not tasks:
            return 0
        began = time.monotonic()
        studies = sorted({task.instance.study_instance_uid for task in tasks})
        self.journal.audit("DICOM Instances Accessed", "R", studies=studies, objects=len(tasks), model=reader.model)
        outcomes = self._outcomes(reader, tasks)
        seconds = (time.monotonic() - began) / len(tasks)
        for i, (task, outcome) in enumerate(zip(tasks, outcomes, strict=True)):
            try:
                self._record(task, outcome, seconds)
            except RunError as error:
                self.journal.event("result not written", "error", error=describe(error))
                self.queue.release(tasks[i:])
                return 0
            except Exception as error:  # the results of this image cannot be encoded: the others' can
                self._record(task, Unread(describe(error)), seconds)
        return len(tasks)

    def _outcomes(self, reader: Reader, tasks: Sequence[Task]) -> list[Outcome]:
        """Of all at once; where that fails, of each alone, so that one image cannot stop the others."""
        try:
            return reader([self.storage.path(OBJECTS, task.instance.file) for task in tasks])
        except Exception as error:
            if len(tasks) > 1:
                return [outcome for task in tasks for outcome in self._outcomes(reader, [task])]
            return [Unread(describe(error))]

    def _record(self, task: Task, outcome: Outcome, seconds: float) -> None:
        uid, is_combined = task.instance.sop_instance_uid, task.model in self.combining
        if isinstance(outcome, Unread):
            self.queue.fail(task, outcome.reason, is_combined)
            self.metrics.read.labels("failed").inc()
            self.journal.event("image not read", "error", instance=uid, error=outcome.reason)
            return
        results = [write_result(self.storage, self.pseudonyms, found) for found in outcome.objects]
        destinations = [destination.name for destination in self.config.destinations]
        self.queue.answer(task, results, destinations, is_combined)
        self.metrics.read.labels("answered").inc()
        self.metrics.reading_seconds.observe(seconds)
        self.journal.event("image read", instance=uid, results=len(results), seconds=round(seconds, 4))
        if outcome.record["seen"] is None:
            self._watch_drift(task, outcome.record)

    def _watch_drift(self, task: Task, record: Mapping[str, Any]) -> None:
        study = self.pseudonyms(task.instance.study_instance_uid)
        try:
            self.drift.add(task.model, Observation.of(record, study))
        except RunError as error:
            self.journal.event("drift not recorded", "error", error=describe(error))


def write_result(storage: Storage, pseudonyms: Pseudonyms, found: Dataset) -> Result:
    """Put an object into its file.  Raises RunError if it cannot be written."""
    name = f"{pseudonyms(found.SOPInstanceUID)}.dcm"
    storage.write(RESULTS, name, to_bytes(found))
    return Result(found.SOPInstanceUID, name)
