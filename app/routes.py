"""The whole URL table. What is not `PUBLIC` wants a credential before anything else is looked at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from app.auth.identity import RequireIdentity
from app.core.rates import Rate
from app.endpoints import (
    audios,
    chapters,
    events,
    health,
    jobs,
    oidc,
    pages,
    projects,
    session,
    sessions,
    tickets,
    voices,
)
from app.endpoints.limits import Counted
from app.state import State

Endpoint = Callable[[Request[State]], Awaitable[Response]]


def _private(method: str, path: str, endpoint: Endpoint, *rates: Rate) -> Route:
    counted: tuple[Rate, ...] = ("changes", *rates) if method in {"POST", "PATCH"} else rates
    limits = [Middleware(Counted, counted)] if counted else []
    return Route(path, endpoint, methods=[method], middleware=[Middleware(RequireIdentity), *limits])


# Files alone: what is streamed must not wait in a compressor.
_PACKED = [Middleware(GZipMiddleware, compresslevel=6)]
_CHAPTER = "/api/projects/{project}/chapters/{chapter}"

PUBLIC: list[BaseRoute] = [
    Route("/", pages.projects, middleware=_PACKED),
    Route("/signin", pages.sign_in, middleware=_PACKED),
    Route("/projects/{project}", pages.project, middleware=_PACKED),
    Mount("/static", StaticFiles(directory=pages.STATIC), middleware=_PACKED),
    Route("/healthz", health.alive),
    Route("/readyz", health.ready),
    Route("/api/session", session.sign_in, methods=["POST"]),
    Route("/api/sign-in-options", oidc.options),
    Route("/auth/oidc/login", oidc.login),
    Route("/auth/oidc/callback", oidc.callback),
    Route("/auth/oidc/logout", oidc.logout),
]

PRIVATE: list[Route] = [
    _private("GET", "/api/session", session.who),
    _private("DELETE", "/api/session", session.sign_out),
    _private("GET", "/api/sessions", sessions.all_of_user),
    _private("DELETE", "/api/sessions/{session}", sessions.end),
    _private("GET", "/api/projects", projects.all_of_user),
    _private("POST", "/api/projects", projects.create, "uploads"),
    _private("GET", "/api/projects/{project}", projects.one),
    _private("PATCH", "/api/projects/{project}", projects.change),
    _private("DELETE", "/api/projects/{project}", projects.delete),
    _private("POST", "/api/projects/{project}/audio", chapters.narrate_all),
    _private("GET", _CHAPTER, chapters.one),
    _private("PATCH", _CHAPTER, chapters.change),
    _private("POST", f"{_CHAPTER}/audio", chapters.narrate),
    _private("GET", "/api/jobs/{queue}/{job}", jobs.status),
    _private("DELETE", "/api/jobs/{queue}/{job}", jobs.cancel),
    Route("/api/events", events.events, methods=["GET"], middleware=[Middleware(RequireIdentity, tickets=True)]),
    _private("POST", "/api/events/tickets", tickets.issue),
    _private("GET", "/audios/{name}.mp3", audios.audio),
    _private("GET", "/api/voices", voices.voices),
]

ROUTES: list[BaseRoute] = [*PUBLIC, *PRIVATE]
