"""The web application: everything joined, on one screen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.exceptions import RedisError
from sse_starlette.sse import AppStatus
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from app.core.errors import Problem
from app.core.settings import Settings
from app.core.telemetry import tracing
from app.core.telemetry.logs import configure_logs
from app.http.responses import on_error, on_http_exception, on_problem, on_redis_error
from app.middleware.allowed_hosts import AllowedHosts
from app.middleware.request_metrics import HEADER, RequestMetrics
from app.middleware.request_tracing import RequestTracing
from app.middleware.security_headers import SecurityHeaders
from app.middleware.trusted_proxies import TrustedProxies
from app.routes import ROUTES
from app.state import State, opened

_CORS: dict[str, Any] = {
    "allow_methods": ["GET", "POST", "PATCH", "DELETE"],
    "allow_headers": [
        "Authorization",
        "Cache-Control",
        "Idempotency-Key",
        "If-None-Match",
        "If-Range",
        "Last-Event-ID",
        "Pragma",
        "Prefer",
        "Range",
        "traceparent",
        HEADER,
        "X-Requested-With",
    ],
    "expose_headers": ["Content-Range", "ETag", "Location", "Preference-Applied", "Retry-After", HEADER],
    "allow_credentials": True,
}
"""What pages of the other sites that are set may send and see."""


def create_app(settings: Settings | None = None) -> Starlette:
    """The ASGI application; nothing is opened before its lifespan begins."""
    configured = settings or Settings()
    configure_logs(configured.log_format)
    # Streams are closed by our own draining, one by one, not all at once by the response class.
    AppStatus.enable_automatic_graceful_drain = False

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[State]:
        with tracing.running("smartvoice-web"):
            async with opened(configured) as state:
                yield state

    handlers: dict[Any, Any] = {
        Problem: on_problem,
        RedisError: on_redis_error,
        HTTPException: on_http_exception,
        Exception: on_error,
    }
    return Application(
        around=_middleware(configured),
        routes=ROUTES,
        lifespan=lifespan,
        exception_handlers=handlers,
    )


class Application(Starlette):
    """Starlette with middleware around all of it: what it answers itself where something went wrong passes them too.

    Args:
        around: from the outside in.
    """

    def __init__(self, around: Sequence[Middleware], **options: Any) -> None:
        super().__init__(**options)
        self._around = around

    def build_middleware_stack(self) -> ASGIApp:
        app = super().build_middleware_stack()
        for middleware in reversed(self._around):
            app = middleware.cls(app, *middleware.args, **middleware.kwargs)
        return app


def _middleware(settings: Settings) -> list[Middleware]:
    """From the outside in. Pure ASGI only: what buffers a response would hold streams back."""
    return [
        *([Middleware(RequestTracing)] if tracing.wanted() else []),
        Middleware(RequestMetrics),
        # Before all that follows, so that it sees the client and not the proxy.
        *([Middleware(TrustedProxies, settings.proxies)] if settings.proxies else []),
        Middleware(SecurityHeaders, over_https=settings.over_https, audio_origin=settings.audio_origin),
        Middleware(AllowedHosts, settings),
        *(
            [Middleware(CORSMiddleware, **_CORS, allow_origins=settings.other_origins)]
            if settings.other_origins
            else []
        ),
    ]
