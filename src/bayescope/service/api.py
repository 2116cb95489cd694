"""The HTTP interface: paths, parameters and answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, File, Form, Request, UploadFile
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from pydantic import Json
from sse_starlette import EventSourceResponse

from bayescope import __version__
from bayescope.errors import ConfigError
from bayescope.inference.read import Frames
from bayescope.json_values import finite
from bayescope.service.access import Access
from bayescope.service.refusals import ANSWERS, PROBLEMS
from bayescope.service.scheduler import Scoring
from bayescope.service.schemas import Classification, ExplanationRecord, ModelCard, State
from bayescope.service.service import ExplanationRequest, Service
from bayescope.service.settings import ServiceSettings
from bayescope.service.uploads import Upload

_UID = r"^[0-9]([0-9.]{0,62}[0-9])?$"
router = APIRouter()

Prevalence = Annotated[
    Json[dict[str, float]] | None,
    Form(description='Probability of each class before the image, as JSON: {"cancer": 0.01, "normal": 0.99}.'),
]
Frame = Annotated[
    str | None, Form(pattern=r"^(all|[1-9][0-9]{0,5})$", description="Which frame of a DICOM file of several, from 1, or all.")
]
Resize = Annotated[bool, Form(description="Bring images of another size to the model's, padded.")]
Uid = Annotated[str | None, Form(pattern=_UID, max_length=64, description="Of an instance at the DICOMweb server.")]


class Picture(StrEnum):
    """A drawing of an explanation."""

    EVIDENCE = "evidence"
    SCALES = "scales"
    COUNTERFACTUAL = "counterfactual"


async def service_of(request: Request) -> Service:
    """The service that a request was sent to."""
    found: Service = request.app.state.service
    return found


Server = Annotated[Service, Depends(service_of)]


async def uploads_of(
    service: Server,
    files: Annotated[list[UploadFile] | None, File(description="Image files, or DICOM for a prepared model.")] = None,
    study: Uid = None,
    series: Uid = None,
    instance: Uid = None,
) -> list[Upload]:
    """The files of a request, sent with it or by reference."""
    sent = [Upload(file.filename or "", file.file) for file in files or []]
    if study or series or instance:
        sent.append(await service.fetch(study, series, instance))
    if not sent:
        raise ConfigError("no image; expected `files`, or `study`, `series` and `instance`. Send one of these")
    return sent


async def scoring_of(
    service: Server,
    prevalence: Prevalence = None,
    disagreement_rate: Annotated[
        float | None, Form(ge=0, lt=1, description="Stop early at most this often with another answer; 0: score in full.")
    ] = None,
    max_passes: Annotated[int | None, Form(ge=1, description="Most network passes per image.")] = None,
) -> Scoring:
    """How a request wants images to be scored."""
    return Scoring(service.prior(prevalence), disagreement_rate, max_passes)


async def explanation_of(
    service: Server,
    prevalence: Prevalence = None,
    against: Annotated[str | None, Form(description="Class to compare with (default: all others together).")] = None,
    counterfactual: Annotated[bool, Form(description="Also the image as another class would have it.")] = False,
    sigma: Annotated[float, Form(gt=0.01, le=100, description="How much the counterfactual may change.")] = 1.0,
    frame: Frame = None,
    resize: Resize = False,
    detail: Annotated[bool, Form(description="Also the image in more detail than the model takes it, in JSON.")] = False,
) -> ExplanationRequest:
    """How a request wants an image to be explained."""
    return ExplanationRequest(
        service.prior(prevalence), against, sigma if counterfactual else None, _frame(frame), resize, detail
    )


Uploads = Annotated[list[Upload], Depends(uploads_of)]
How = Annotated[Scoring, Depends(scoring_of)]
What = Annotated[ExplanationRequest, Depends(explanation_of)]


@router.post("/v1/classify", response_model=Classification, responses=PROBLEMS, tags=["scoring"])
async def classify(service: Server, uploads: Uploads, scoring: How, frame: Frame = None, resize: Resize = False) -> Response:
    """Classify images: the records that ``bayescope classify --json`` prints."""
    records = await service.classify(uploads, scoring, _frame(frame), resize)
    return _json({"model": service.fingerprint, "records": records})


@router.post(
    "/v1/classify/events",
    response_class=EventSourceResponse,
    responses=PROBLEMS | {200: {"description": "Server-sent events: image, progress, record, error, done."}},
    tags=["scoring"],
)
async def classify_events(
    service: Server, uploads: Uploads, scoring: How, frame: Frame = None, resize: Resize = False
) -> Response:
    """Classify images, and tell what is known of each while network passes accumulate."""
    return EventSourceResponse(await service.classify_events(uploads, scoring, _frame(frame), resize))


@router.post("/v1/explain", response_model=ExplanationRecord, responses=PROBLEMS, tags=["scoring"])
async def explain(service: Server, uploads: Uploads, asked: What) -> Response:
    """Where the evidence of one image lies: a map that adds up to its log-likelihood ratio."""
    return _json({"model": service.fingerprint, **await service.explain(uploads, asked)})


@router.post(
    "/v1/explain/{picture}.png",
    response_class=Response,
    responses=PROBLEMS | {200: {"content": {"image/png": {}}, "description": "The drawing."}},
    tags=["scoring"],
)
async def explain_picture(service: Server, picture: Picture, uploads: Uploads, asked: What) -> Response:
    """The same as a drawing."""
    return Response(await service.explanation_picture(uploads, asked, picture.value), media_type="image/png")


@router.post(
    "/v1/report",
    response_class=Response,
    responses=PROBLEMS | {200: {"content": {"application/dicom": {}}, "description": "The report."}},
    tags=["scoring"],
)
async def report(service: Server, uploads: Uploads, scoring: How, frame: Frame = None) -> Response:
    """The prediction of one DICOM image as a DICOM structured report (TID 1500)."""
    return Response(await service.report(uploads, scoring, _frame(frame)), media_type="application/dicom")


@router.get("/v1/model", response_model=ModelCard, responses={401: PROBLEMS[401]}, tags=["model"])
async def model(service: Server) -> Response:
    """The model card: data, measures, calibration and limits."""
    return _json(service.card)


@router.get("/healthz", response_model=State, tags=["state"])
async def healthz() -> Response:
    """Whether the process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz", response_model=State, responses={503: {"model": State}}, tags=["state"])
async def readyz(service: Server) -> Response:
    """Whether images are being scored."""
    state = service.scheduler.state
    return JSONResponse({"status": state}, 200 if state == "ok" else 503)


@router.get(
    "/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}, 401: PROBLEMS[401]}, tags=["state"]
)
async def metrics(service: Server) -> Response:
    """Measurements for Prometheus."""
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")


def create_app(run: Path, settings: ServiceSettings, device: str = "auto") -> FastAPI:
    """The service of a run folder.

    Parameters
    ----------
    run : Path
        Folder written by ``bayescope train``.
    settings : ServiceSettings
        Access and limits.
    device : str, default "auto"
        Where to score images.

    Returns
    -------
    FastAPI
        An ASGI application; it starts to score images when it is started.

    Raises
    ------
    RunError
        If the folder holds no model, or a damaged one.
    ConfigError
        If the device is not available.
    """
    service = Service(run, settings, device)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.scheduler.start()
        yield
        service.scheduler.close()

    app = FastAPI(
        title="Bayescope",
        version=__version__,
        description="Medical image classification by likelihood. For research; not a medical device.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    app.add_middleware(Access, settings=settings, metrics=service.metrics)
    for kind, answer in ANSWERS.items():
        app.add_exception_handler(kind, answer)
    app.include_router(router)
    app.mount("/", StaticFiles(directory=str(files("bayescope.service") / "page"), html=True))
    return app


def _frame(text: str | None) -> Frames:
    return "all" if text == "all" else None if text is None else int(text)


def _json(content: dict[str, Any]) -> JSONResponse:
    return JSONResponse(finite(content))
