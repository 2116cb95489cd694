"""What the service does with a request: uploads are read, queued, and answered."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from pydicom.dataset import Dataset
from starlette.concurrency import run_in_threadpool

from bayescope.dicom import ModelIdentity, class_codes, measurement_report, read_source, to_bytes
from bayescope.diffusion.scoring_device import scoring_device
from bayescope.errors import ConfigError, DataError, writing
from bayescope.evaluation.explanation_files import explanation_files
from bayescope.inference.drift import Observation
from bayescope.inference.explain import Explanation, explain
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.predictions import check_prior
from bayescope.inference.read import Frames
from bayescope.json_values import finite
from bayescope.runs.files import write_atomically
from bayescope.runs.folder import read_record
from bayescope.runs.model_file import load_model
from bayescope.service import explanation
from bayescope.service.dicomweb import retrieve
from bayescope.service.metrics import Metrics
from bayescope.service.model_card import model_card
from bayescope.service.scheduler import ImageJob, OtherJob, Record, Scheduler, Scoring
from bayescope.service.scorers import LocalScorer, ProcessScorer, Scorer, Tell
from bayescope.service.settings import ServiceSettings
from bayescope.service.uploads import Copy, Reader, ReadImage, Upload, private_copies

Found = TypeVar("Found")
Event = dict[str, str]


@dataclass(frozen=True)
class ExplanationRequest:
    """How an image is explained: the arguments of :func:`bayescope.inference.explain.explain` and of reading it."""

    class_prior: tuple[float, ...] | None = None
    against: str | None = None
    counterfactual_sigma: float | None = None
    frame: Frames = None
    resize: bool = False
    detail: bool = False


@dataclass(frozen=True)
class Read:
    """The images of a request, and a record of each file that could not be read."""

    images: list[ReadImage]
    failed: list[Record]


class Service:
    """A model and its queue.

    Parameters
    ----------
    run : Path
        Run folder of the model.
    settings : ServiceSettings
        Access and limits.
    device : str
        Where to score images.
    """

    def __init__(self, run: Path, settings: ServiceSettings, device: str) -> None:
        scoring_device(device)
        self.settings, self.model = settings, load_model(run, "cpu" if settings.scoring_process else device)
        self._identity, self._codes = ModelIdentity.of(run), class_codes(self.model.config.dicom, self.model.class_names)
        self._card = model_card(run, self.model, settings)
        self.metrics = Metrics()
        scorer: Scorer = LocalScorer(self.model)
        if settings.scoring_process:
            scorer = apart = ProcessScorer(run, device, self.fingerprint)
            self.metrics.add_process("scoring", lambda: apart.pid)
        self.scheduler = Scheduler(scorer, self.metrics, settings.max_waiting, settings.batch_wait)
        self._drift = self.model.drift_test(self.model.class_prior, settings.drift_window, settings.drift_alpha).watch()
        self.metrics.watch_drift(lambda: self._drift.summary())
        self._reader = Reader(self.model, read_record(run), settings.max_pixels)
        if settings.keep is not None:
            with writing(settings.keep):
                settings.keep.mkdir(parents=True, exist_ok=True)

    @property
    def fingerprint(self) -> str:
        """Of the model."""
        return self._identity.fingerprint

    @property
    def card(self) -> Record:
        """The model card, with what is known of drift."""
        return {**self._card, "drift": self._drift.summary()}

    def prior(self, prevalence: Mapping[str, float] | None) -> tuple[float, ...] | None:
        """Probabilities in the order of the classes.  Raises ConfigError if they are no distribution over them."""
        return None if prevalence is None else tuple(check_prior(prevalence, self.model.class_names).tolist())

    async def fetch(self, study: str | None, series: str | None, instance: str | None) -> Upload:
        """An instance of the DICOMweb server.

        Raises ConfigError if none was given at the start, or a UID is missing; DataError if it cannot be retrieved.
        """
        if self.settings.dicomweb is None:
            raise ConfigError(
                "a DICOMweb reference; expected files, as the service was started without --dicomweb. Send the file"
            )
        if not (study and series and instance):
            raise ConfigError("a DICOMweb reference in part; expected all of study, series and instance. Send all three")
        return await run_in_threadpool(retrieve, self.settings.dicomweb, study, series, instance)

    async def classify(self, uploads: Sequence[Upload], scoring: Scoring, frame: Frames, resize: bool) -> list[Record]:
        """Records of the images that could be read, then of the files that could not."""
        read = await run_in_threadpool(self._read, uploads, frame, resize)
        records = await self._scored([_job(image, scoring) for image in read.images])
        for image, record in zip(read.images, records, strict=True):
            self._watch_drift(image, scoring, record)
        return [*records, *read.failed]

    async def classify_events(
        self, uploads: Sequence[Upload], scoring: Scoring, frame: Frames, resize: bool
    ) -> AsyncIterator[Event]:
        """The same as events, with what is known of each image while it is scored."""
        read = await run_in_threadpool(self._read, uploads, frame, resize)
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def tell(kind: str, i: int, content: Record) -> None:
            loop.call_soon_threadsafe(events.put_nowait, _event(kind, {"index": i, **content}))

        jobs = []
        for i, image in enumerate(read.images):
            tell("image", i, self._about(image))
            jobs.append(_job(image, scoring, partial(tell, "progress", i)))
        self.scheduler.submit(jobs)

        async def finish() -> None:
            for i, job in enumerate(jobs):
                try:
                    record = await asyncio.wrap_future(job.future)
                    self._watch_drift(read.images[i], scoring, record)
                    tell("record", i, {"record": record})
                except Exception as error:
                    tell("error", i, {"image": job.name, "error": str(error)})
            for record in read.failed:
                loop.call_soon_threadsafe(events.put_nowait, _event("error", record))
            loop.call_soon_threadsafe(events.put_nowait, None)

        async def told() -> AsyncIterator[Event]:
            finishing = asyncio.create_task(finish())
            try:
                while (event := await events.get()) is not None:
                    yield event
                yield _event("done", {"model": self.fingerprint})
            finally:
                finishing.cancel()
                for job in jobs:
                    job.future.cancel()

        return told()

    async def explain(self, uploads: Sequence[Upload], asked: ExplanationRequest) -> Record:
        """The explanation of one image as JSON."""
        return await self._explained(uploads, asked, _described)

    async def explanation_picture(self, uploads: Sequence[Upload], asked: ExplanationRequest, picture: str) -> bytes:
        """A drawing of the explanation of one image: PNG.  Raises ConfigError for a counterfactual that was not asked for."""
        if picture == "counterfactual" and asked.counterfactual_sigma is None:
            raise ConfigError("no counterfactual to draw; expected `counterfactual=true`. Send that too")
        return await self._explained(uploads, asked, partial(_drawn, picture))

    async def report(self, uploads: Sequence[Upload], scoring: Scoring, frame: Frames) -> bytes:
        """The prediction of one DICOM image as a structured report."""
        image, source = await run_in_threadpool(self._with_source, uploads, frame)
        (record,) = await self._scored([_job(image, scoring)])
        return to_bytes(measurement_report(source, record, self._identity, self._codes, image.frame))

    async def _scored(self, jobs: list[ImageJob]) -> list[Record]:
        self.scheduler.submit(jobs)
        try:
            return list(await asyncio.gather(*(asyncio.wrap_future(job.future) for job in jobs)))
        finally:
            for job in jobs:
                job.future.cancel()

    async def _explained(
        self,
        uploads: Sequence[Upload],
        asked: ExplanationRequest,
        describe: Callable[[LikelihoodModel, Explanation, ReadImage], Found],
    ) -> Found:
        image = await run_in_threadpool(self._read_one, uploads, asked)
        job = OtherJob(partial(_explain, image, asked, describe))
        self.scheduler.submit([job])
        found: Found = await asyncio.wrap_future(job.future)
        return found

    def _read(self, uploads: Sequence[Upload], frame: Frames, resize: bool) -> Read:
        """Read all files.  Raises ConfigError if they are more images than allowed."""
        read = Read([], [])
        with private_copies(uploads) as copies:
            for copy in copies:
                try:
                    read.images.extend(self._reader.read(copy, frame, resize))
                    self._keep(copy)
                except DataError as error:
                    read.failed.append({"image": copy.label, "error": str(error)})
                if len(read.images) > self.settings.max_images:
                    raise ConfigError(
                        f"more than {self.settings.max_images} images in one request; expected fewer. Send them in several"
                    )
        self.metrics.count_unreadable(len(read.failed))
        return read

    def _read_one(self, uploads: Sequence[Upload], asked: ExplanationRequest) -> ReadImage:
        with private_copies(uploads) as copies:
            image = self._only_image(copies, asked.frame, asked.resize)
            return self._reader.with_detail(image) if asked.detail else image

    def _with_source(self, uploads: Sequence[Upload], frame: Frames) -> tuple[ReadImage, Dataset]:
        """The one image, and the header of its DICOM file.  Raises DataError if it is none."""
        with private_copies(uploads) as copies:
            image = self._only_image(copies, frame, False)
            try:
                return image, read_source(image.copy.path)
            except DataError as error:
                raise DataError(image.copy.named(str(error))) from None

    def _only_image(self, copies: Sequence[Copy], frame: Frames, resize: bool) -> ReadImage:
        """Raises DataError unless there is one image, and it can be read."""
        images = [image for copy in copies for image in self._reader.read(copy, frame, resize)]
        if len(images) != 1:
            raise DataError(f"{len(images)} images; expected one. Send one file, and the number of its frame if it has several")
        return images[0]

    def _about(self, image: ReadImage) -> Record:
        return {
            "image": image.name,
            "patient": image.patient,
            "is_dicom": image.copy.is_dicom,
            "frame": image.frame,
            "preview": explanation.preview(self.model, image.pixels),
            "warnings": list(image.remarks),
        }

    def _watch_drift(self, image: ReadImage, scoring: Scoring, record: Record) -> None:
        """Take an image into account that the run had not seen and that was scored as it is by default."""
        if scoring == Scoring() and not image.seen:
            source = image.patient or hashlib.sha256(image.pixels.tobytes()).hexdigest()
            self._drift = self._drift.with_image(Observation.of(record, source))

    def _keep(self, copy: Copy) -> None:
        """Keep an upload, named after its content, if so asked at the start."""
        if self.settings.keep is not None:
            content = copy.path.read_bytes()
            write_atomically(self.settings.keep / f"{hashlib.sha256(content).hexdigest()}{copy.path.suffix}", content)


def _job(image: ReadImage, scoring: Scoring, watch: Callable[[Record], None] | None = None) -> ImageJob:
    return ImageJob(image.pixels, scoring, image.name, image.remarks, image.seen, watch)


def _event(kind: str, content: Record) -> Event:
    return {"event": kind, "data": json.dumps(finite(content))}


def _explain(
    image: ReadImage,
    asked: ExplanationRequest,
    describe: Callable[[LikelihoodModel, Explanation, ReadImage], Found],
    model: LikelihoodModel,
    tell: Tell,
) -> Found:
    return describe(model, explain(model, image.pixels, asked.class_prior, asked.against, asked.counterfactual_sigma), image)


def _described(model: LikelihoodModel, found: Explanation, image: ReadImage) -> Record:
    return explanation.explanation_record(model, found, image.name, image.remarks, image.detail)


def _drawn(picture: str, model: LikelihoodModel, found: Explanation, image: ReadImage) -> bytes:
    return explanation_files(model, found)[f"{picture}.png"]
