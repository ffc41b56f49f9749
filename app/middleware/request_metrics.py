"""Gives each request an id, which its log lines and jobs have, and counts and times it."""

from __future__ import annotations

import re
import time

from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from app.core.ids import new_id
from app.core.telemetry.metrics import REQUEST_SECONDS, REQUESTS
from app.http.route_template import route_of

HEADER = "X-Request-Id"
REQUEST_ID = "smartvoice.request_id"
"""The key of the id in a request's scope."""

_NAME = HEADER.lower().encode()
_SENT = re.compile(rb"[A-Za-z0-9._-]{8,64}")
METHODS = {"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"}
"""Methods that have labels of their own."""


class RequestMetrics:
    """ASGI middleware, outermost: every log line within has `request`, and the response has `X-Request-Id`.

    A well-formed id of the client or a proxy is taken over. A request is timed until the head of its response.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._counts: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        id = _sent(scope) or new_id()

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (_NAME, id.encode())]
                self._count(scope, message["status"], time.perf_counter() - began)
            await send(message)

        # Each request has a task and a context of its own.
        bind_contextvars(request=id)
        scope[REQUEST_ID] = id
        await self._app(scope, receive, noted)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in METHODS else "other"
        kind = (method, route_of(scope), status)
        # Cached: looking them up by their labels takes longer than counting.
        if (counts := self._counts.get(kind)) is None:
            counts = self._counts[kind] = REQUESTS.labels(*kind), REQUEST_SECONDS.labels(*kind[:2])
        counts[0].inc()
        counts[1].observe(seconds)


def _sent(scope: Scope) -> str | None:
    """Return the id that came with the request."""
    for name, value in scope["headers"]:
        if name == _NAME:
            return value.decode() if _SENT.fullmatch(value) else None
    return None
