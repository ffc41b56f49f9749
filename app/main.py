"""The web application: everything joined, on one screen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.exceptions import RedisError
from sse_starlette.sse import AppStatus
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from app.core import tracing
from app.core.errors import Problem
from app.core.logs import configure_logs
from app.core.settings import Settings
from app.endpoints.replies import on_error, on_http_exception, on_problem, on_redis_error
from app.headers import SecurityHeaders
from app.observed import HEADER, Observed
from app.proxies import TrustedProxies
from app.routes import ROUTES
from app.state import State, opened
from app.traced import Traced

_CORS: dict[str, Any] = {
    "allow_methods": ["GET", "POST", "PATCH", "DELETE"],
    "allow_headers": [
        "Authorization",
        "Idempotency-Key",
        "If-None-Match",
        "Last-Event-ID",
        "Prefer",
        "Range",
        "traceparent",
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
    return Starlette(
        routes=ROUTES,
        lifespan=lifespan,
        middleware=_middleware(configured),
        exception_handlers=handlers,
    )


def _middleware(settings: Settings) -> list[Middleware]:
    """From the outside in. Pure ASGI only: what buffers a response would hold streams back."""
    stack = [Middleware(SecurityHeaders, over_https=settings.over_https, audio_origin=settings.audio_origin)]
    if settings.proxies:
        # First of all, so that everything else sees the client and not the proxy.
        stack.insert(0, Middleware(TrustedProxies, settings.proxies))
    stack.insert(0, Middleware(Observed))
    if tracing.wanted():
        stack.insert(0, Middleware(Traced))
    if settings.other_origins:
        stack.append(Middleware(CORSMiddleware, **_CORS, allow_origins=settings.other_origins))
    return stack
