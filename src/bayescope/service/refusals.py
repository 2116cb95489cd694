"""How errors are answered: status, reason, and when to try again."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from bayescope.errors import BayescopeError
from bayescope.service.schemas import Problem
from bayescope.service.scorers import Unavailable

_RETRY_AFTER = 1
PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body cannot be parsed."},
    401: {"model": Problem, "description": "No valid token."},
    403: {"model": Problem, "description": "From the page of another site."},
    413: {"model": Problem, "description": "The body is too large."},
    422: {"model": Problem, "description": "The request cannot be done as it is."},
    503: {"model": Problem, "description": "Too many images are waiting; try again after Retry-After seconds."},
}
"""Statuses of refusals, for the OpenAPI description."""


async def _refused(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 422)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = "; ".join(f"{'.'.join(map(str, part['loc'][1:])) or 'body'}: {part['msg']}" for part in error.errors())
    return JSONResponse({"error": f"{found}. See /openapi.json for what is expected"}, 422)


async def _busy(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"{error}. Try again later"}, 503, {"Retry-After": str(_RETRY_AFTER)})


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)


ANSWERS: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    BayescopeError: _refused,
    RequestValidationError: _invalid,
    Unavailable: _busy,
    HTTPException: _http,
}
"""How errors are answered, by their kind."""
