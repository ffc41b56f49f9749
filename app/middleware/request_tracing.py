"""Makes a span for each request, if tracing is on."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.telemetry import tracing
from app.http.route_template import UNKNOWN, route_of
from app.middleware.request_metrics import METHODS

_MAX_PATH = 200  # characters; paths of ours are shorter


class RequestTracing:
    """ASGI middleware, outermost: continues the trace of a request (`traceparent`), or starts one.

    As with its metric, a request lasts until the head of its response, so no span is as long as a stream.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                _finish(scope, message["status"])
            await send(message)

        parent = Headers(scope=scope).get("traceparent", "")
        with tracing.span(_method(scope, "HTTP"), "server", parent=parent):
            try:
                await self._app(scope, receive, noted)
            finally:
                # No response was started: a bug, which Starlette answers further out.
                _finish(scope, 500)


def _finish(scope: Scope, status: int) -> None:
    """End the request's span, with attributes by OpenTelemetry's conventions for HTTP. Idempotent."""
    route = route_of(scope)
    told: dict[str, str | int] = {
        "http.request.method": _method(scope, "_OTHER"),
        "http.response.status_code": status,
        "url.scheme": scope["scheme"],
    }
    if route != UNKNOWN:
        # An unknown path may be anything, and is left out; so is the query, which may have a ticket.
        told |= {"http.route": route, "url.path": scope["path"][:_MAX_PATH]}
    if status >= 500:
        told["error.type"] = str(status)
    tracing.note(told)
    tracing.finish(f"{_method(scope, 'HTTP')} {route}" if route != UNKNOWN else None)


def _method(scope: Scope, other: str) -> str:
    return scope["method"] if scope["method"] in METHODS else other
