"""Responses: JSON in camelCase, problems by RFC 9457."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from app.core.errors import Problem, Unauthenticated
from app.core.json_model import Model, compact
from app.core.redis.client import problem_of
from app.core.telemetry.metrics import REFUSALS
from app.http.route_template import route_of

logger = structlog.get_logger()

NO_STORE = {"Cache-Control": "no-store"}


def reply(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Make a JSON response of a model, of plain values, or of bytes that are JSON. It is not cached unless `headers`
    say so."""
    return Response(
        content
        if isinstance(content, bytes)
        else content.json_text()
        if isinstance(content, Model)
        else compact(content),
        status_code=status,
        media_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def problem(error: Problem) -> Response:
    """Make a problem document (RFC 9457), with `Retry-After` and `WWW-Authenticate` if they apply."""
    headers = {"Cache-Control": "no-store"}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="SmartVoice"'
    return Response(
        compact(error.document()),
        status_code=error.status,
        media_type="application/problem+json",
        headers=headers,
    )


async def on_problem(request: Request[Any], error: Exception) -> Response:
    """Answer a problem."""
    assert isinstance(error, Problem)
    _note(request, error)
    return problem(error)


def _note(request: Request[Any], error: Problem) -> None:
    """Count and log a refusal by its code; its text may have private data."""
    REFUSALS.labels(error.code, error.status).inc()
    route = route_of(request.scope)
    if route != "/readyz":  # asked all the time, and it reports by itself
        logger.info("refused", code=error.code, status=error.status, method=request.method, route=route)


async def on_redis_error(request: Request[Any], error: Exception) -> Response:
    """Answer that Redis is away or full, and when to try again."""
    assert isinstance(error, RedisError)
    told = problem_of(error)
    _note(request, told)
    if request.url.path != "/readyz":
        logger.warning("redis_error", path=request.url.path, error=str(error))
    return problem(told)


async def on_http_exception(request: Request[Any], error: Exception) -> Response:
    """Answer what Starlette itself refuses: unknown paths and methods."""
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    headers = {"Allow": ", ".join(_methods(request))} if error.status_code == 405 else error.headers
    document = {
        "type": "about:blank",
        "title": error.detail,
        "status": error.status_code,
        "code": code,
        "detail": error.detail,
    }
    return Response(
        compact(document),
        status_code=error.status_code,
        media_type="application/problem+json",
        headers=headers,
    )


def _methods(request: Request[Any]) -> list[str]:
    """Return the methods of a path. Starlette names those of its first route only, and none for a file."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    matching = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in matching for method in route.methods or ()} or {"GET", "HEAD"})


async def on_error(request: Request[Any], error: Exception) -> Response:
    """Answer a bug without its traceback, which the server logs."""
    return problem(Problem("Something went wrong here; the log says what."))
