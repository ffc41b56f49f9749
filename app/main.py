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

from app.core.errors import Problem
from app.core.logs import configure_logs
from app.core.settings import Settings
from app.endpoints.replies import on_error, on_http_exception, on_problem, on_redis_error
from app.headers import SecurityHeaders
from app.routes import ROUTES
from app.state import State, opened


def create_app(settings: Settings | None = None) -> Starlette:
    """The ASGI application; nothing is opened before its lifespan begins."""
    configured = settings or Settings()
    configure_logs()
    # Streams are closed by our own draining, one by one, not all at once by the response class.
    AppStatus.enable_automatic_graceful_drain = False

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[State]:
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
        # Pure ASGI only: what buffers a response would hold streams back.
        middleware=[Middleware(SecurityHeaders)],
        exception_handlers=handlers,
    )
