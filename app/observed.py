"""What is known of each request: an id that its logs and jobs bear, and how it was answered."""

from __future__ import annotations

import re
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from app.core.metrics import REQUEST_SECONDS, REQUESTS
from app.core.models import new_id

HEADER = "X-Request-Id"

_SENT = re.compile(r"[A-Za-z0-9._-]{8,64}")
_METHODS = {"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"}


class Observed:
    """ASGI middleware, outermost: every log line within bears `request`, as the answer does in `X-Request-Id`.

    An id that the client or a proxy sends is taken, if it is one. A request is timed until the head of its answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        sent = Headers(scope=scope).get(HEADER, "")
        id = sent if _SENT.fullmatch(sent) else new_id()

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = id
                _count(scope, message["status"], time.perf_counter() - began)
            await send(message)

        with bound_contextvars(request=id):
            await self._app(scope, receive, noted)


def route_of(scope: Scope) -> str:
    """The template of a request's path, such as `/api/projects/{project}`: never what somebody typed."""
    return getattr(scope.get("route"), "path", None) or "unknown"


def _count(scope: Scope, status: int, seconds: float) -> None:
    method = scope["method"] if scope["method"] in _METHODS else "other"
    route = route_of(scope)
    REQUESTS.labels(method, route, status).inc()
    REQUEST_SECONDS.labels(method, route).observe(seconds)
