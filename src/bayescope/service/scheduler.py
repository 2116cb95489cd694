"""The queue of images to score: what waits is scored together, one batch at a time.

Predictions do not depend on what an image is scored with: see :mod:`bayescope.inference.batch_invariant`.
"""

import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np

from bayescope.inference.model import LikelihoodModel
from bayescope.inference.predictions import Predictions
from bayescope.service.metrics import Metrics
from bayescope.service.scorers import Scorer, Tell, Unavailable, Work
from bayescope.types import Pixels

_BATCH = 32

Record = dict[str, Any]
Watch = Callable[[Record], None]


class Busy(Unavailable):
    """The queue is full."""


class Closed(Unavailable):
    """The service is shutting down."""


@dataclass(frozen=True)
class Scoring:
    """How an image is scored; only images with equal settings share a batch.

    Parameters
    ----------
    class_prior : tuple of float, optional
        Probability of each class (default: the model's own).
    disagreement_rate : float, optional
        Share of predictions that may differ from the full evaluation's (default: as configured).
    max_passes : int, optional
        Largest number of network passes per image (default: as configured).
    """

    class_prior: tuple[float, ...] | None = None
    disagreement_rate: float | None = None
    max_passes: int | None = None


@dataclass
class ImageJob:
    """An image to score: ``pixels (1, channel, height, width)``, and what its record says of it besides."""

    pixels: Pixels
    scoring: Scoring
    name: str
    remarks: tuple[str, ...]
    seen: str
    watch: Watch | None = None
    future: Future[Record] = field(default_factory=Future)


@dataclass
class OtherJob:
    """Anything else that needs the network, done between two batches."""

    work: Work
    future: Future[Any] = field(default_factory=Future)


Job = ImageJob | OtherJob


class Scheduler:
    """Scores images in the order of their arrival, several at a time.

    Parameters
    ----------
    scorer : Scorer
        Calls the network.
    metrics : Metrics
        Counts batches and images.
    max_waiting : int
        Most jobs that wait.
    batch_wait : float
        Seconds that a batch waits to be filled.
    """

    def __init__(self, scorer: Scorer, metrics: Metrics, max_waiting: int, batch_wait: float) -> None:
        self._scorer, self._metrics = scorer, metrics
        self._max_waiting, self._batch_wait = max_waiting, batch_wait
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed, self._started = False, 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scoring", daemon=True)
        metrics.waiting.set_function(lambda: len(self._jobs))

    @property
    def state(self) -> Literal["ok", "starting", "stopped"]:
        """Whether images are being scored."""
        if self._closed or (self._thread.ident is not None and not self._thread.is_alive()):
            return "stopped"
        return "ok" if self._ready.is_set() else "starting"

    def start(self) -> None:
        """Start to score."""
        self._thread.start()

    def close(self) -> None:
        """Finish what is being scored, and give up what waits."""
        self._give_up(Closed("the service is shutting down"))
        if self._thread.is_alive():
            self._thread.join()

    def _give_up(self, error: Exception) -> None:
        """Take no more jobs, and fail those that wait."""
        with self._changed:
            self._closed = True
            waiting = list(self._jobs)
            self._jobs.clear()
            self._changed.notify_all()
        _fail(waiting, error)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue all of the jobs or none.

        Parameters
        ----------
        jobs : sequence of Job
            Their futures hold the results.

        Raises
        ------
        Busy
            If not all of them may wait.
        Closed
            If the service is shutting down.
        """
        with self._changed:
            if self._closed:
                raise Closed("the service is shutting down")
            if len(self._jobs) + len(jobs) > self._max_waiting:
                raise Busy(f"{len(self._jobs)} images are waiting to be scored, of at most {self._max_waiting}")
            self._jobs.extend(jobs)
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            self._scorer.start()
        except Exception as error:
            self._give_up(error)
            raise
        self._ready.set()
        while jobs := self._next():
            running = [job for job in jobs if job.future.set_running_or_notify_cancel()]
            if running:
                self._start(running)
        with self._changed:
            self._changed.wait_for(lambda: not self._started)
        self._scorer.close()

    def _next(self) -> list[Job]:
        """Jobs to do together; none when the service is shutting down.

        While others are being done, only a full batch: it is sent ahead, so that the scorer does not wait for it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._jobs) >= (1, _BATCH, math.inf)[self._started])
            if self._jobs and isinstance(self._jobs[0], ImageJob):
                self._changed.wait_for(lambda: len(self._jobs) >= _BATCH or self._closed, self._batch_wait)
            return self._take()

    def _take(self) -> list[Job]:
        """The first job, and the images that can be scored with it."""
        if not self._jobs:
            return []
        first = self._jobs.popleft()
        taken = [first]
        if isinstance(first, ImageJob):
            others = [job for job in self._jobs if isinstance(job, ImageJob) and job.scoring == first.scoring][: _BATCH - 1]
            chosen = set(map(id, others))
            self._jobs = deque(job for job in self._jobs if id(job) not in chosen)
            taken += others
        return taken

    def _start(self, jobs: list[Job]) -> None:
        with self._changed:
            self._started += 1
        try:
            future = self._scorer.submit(*_work(jobs))
        except Exception as error:
            future = Future()
            future.set_exception(error)
        future.add_done_callback(partial(self._finish, jobs))

    def _finish(self, jobs: list[Job], done: Future[list[Any]]) -> None:
        with self._changed:
            self._started -= 1
            self._changed.notify_all()
        if error := done.exception():
            _fail(jobs, error)
            return
        if isinstance(jobs[0], ImageJob):
            self._metrics.count_batch(len(jobs), sum(record["passes"] for record in done.result()))
        for job, result in zip(jobs, done.result(), strict=True):
            job.future.set_result(result)


def _work(jobs: list[Job]) -> tuple[Work, Tell]:
    """What gives the results of jobs, and what takes that which it tells: progress of the job of an index."""
    images = [job for job in jobs if isinstance(job, ImageJob)]
    if not images:
        return partial(_others, [job.work for job in jobs if isinstance(job, OtherJob)]), lambda told: None

    def tell(told: tuple[int, Record]) -> None:
        i, progress = told
        if (watch := images[i].watch) is not None:
            watch(progress)

    pixels, watched = np.concatenate([job.pixels for job in images]), any(job.watch for job in images)
    described = [(job.name, job.remarks, job.seen) for job in images]
    return partial(_records, pixels, images[0].scoring, described, watched), tell


def _others(works: list[Work], model: LikelihoodModel, tell: Tell) -> list[Any]:
    return [work(model, tell) for work in works]


def _records(
    pixels: Pixels,
    scoring: Scoring,
    described: Sequence[tuple[str, tuple[str, ...], str]],
    watched: bool,
    model: LikelihoodModel,
    tell: Tell,
) -> list[Record]:
    """Records of images by their names, remarks and splits; if ``watched``, what is known of each so far is told."""

    def watch(found: Predictions, first: int) -> None:
        for i in range(len(found.passes)):
            tell((first + i, _progress(model, found, i)))

    predictions = model.classify(
        pixels,
        scoring.class_prior,
        scoring.disagreement_rate,
        scoring.max_passes,
        trust_tests=True,
        watch=watch if watched else None,
    )
    names, remarks, seen = zip(*described, strict=True)
    return list(predictions.records(model, names, remarks, seen))


def _progress(model: LikelihoodModel, found: Predictions, i: int) -> Record:
    return {
        "passes": int(found.passes[i]),
        "posterior": model.by_class(found.posterior[i]),
        "log_likelihood_ratio": model.by_class(found.log_likelihood_ratio[i]),
        "standard_error": model.by_class(found.standard_error[i]),
    }


def _fail(jobs: Sequence[Job], error: BaseException) -> None:
    for job in jobs:
        if not job.future.done():
            job.future.set_exception(error)
