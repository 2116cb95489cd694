"""Access to the service: an ASGI middleware that refuses what it should not answer, and counts what it does.

A page of another site that is open in the same browser can send requests to an address of this machine.  So requests with the
``Origin`` of another site are refused, and, at a service without a token, those for another ``Host`` than this machine, which
a name of another site that resolves to this machine would ask for.
"""

import hmac
import json
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bayescope.service.metrics import Metrics
from bayescope.service.settings import ServiceSettings, is_loopback

_PROTECTED = ("/v1/", "/metrics")
_HEADERS = (
    (b"content-security-policy", b"default-src 'self'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; "
     b"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)  # fmt: skip


class Access:
    """The middleware.

    Parameters
    ----------
    app : ASGI application
        What answers the requests that are let pass.
    settings : ServiceSettings
        Token and limits.
    metrics : Metrics
        Counts requests.
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_headers(scope["path"])]
            await send(message)

        try:
            if refused := self._refusal(scope["path"], Headers(scope=scope)):
                await _answer(send_on, *refused)
            else:
                await self._pass_on(scope, receive, send_on)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.count_request(route, scope["method"], status, time.perf_counter() - began)

    def _refusal(self, path: str, headers: Headers) -> tuple[int, str] | None:
        """Status and reason of what is refused from its headers."""
        host, origin, settings = headers.get("host", ""), headers.get("origin"), self._settings
        if settings.token is None and not is_loopback(urlsplit(f"//{host}").hostname or ""):
            return 421, "Host is not this machine; expected localhost or a loopback address"
        if origin is not None and urlsplit(origin).netloc != host:
            return 403, "Origin is another site; expected the page of this service. Open that, or send no Origin"
        if settings.token is not None and path.startswith(_PROTECTED) and not _carries(headers, settings.token):
            return 401, "no valid token; expected a header `Authorization: Bearer TOKEN`"
        if (length := headers.get("content-length", "")).isdecimal() and int(length) > settings.max_upload:
            return 413, self._too_large
        return None

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer, unless the body grows too large, whatever its Content-Length said."""
        received, is_too_large = 0, False

        async def receive_counted() -> Message:
            nonlocal received, is_too_large
            message = await receive()
            received += len(message.get("body", b""))
            if is_too_large := received > self._settings.max_upload:
                raise OSError(self._too_large)
            return message

        async def send_unless_too_large(message: Message) -> None:
            if not is_too_large:
                await send(message)

        try:
            await self._app(scope, receive_counted, send_unless_too_large)
        except OSError:
            if not is_too_large:
                raise
        if is_too_large:
            await _answer(send, 413, self._too_large)

    @property
    def _too_large(self) -> str:
        return f"a body of over {self._settings.max_upload} bytes; expected less. Send fewer or smaller images"


def _carries(headers: Headers, token: str) -> bool:
    return hmac.compare_digest(headers.get("authorization", "").encode(), f"Bearer {token}".encode())


def _headers(path: str) -> Iterable[tuple[bytes, bytes]]:
    cache = b"no-store" if path.startswith(_PROTECTED) else b"no-cache"
    return (*_HEADERS, (b"cache-control", cache))


async def _answer(send: Send, status: int, error: str) -> None:
    headers = [(b"content-type", b"application/json")]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"error": error}).encode()})
