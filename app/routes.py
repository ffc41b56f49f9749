"""The whole URL table. What is not `PUBLIC` wants a credential before anything else is looked at."""

from __future__ import annotations

from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import BaseRoute, Mount, Route

from app.core.redis.rate_limiter import Rate
from app.endpoints import (
    account,
    audios,
    books,
    chapters,
    events,
    health,
    jobs,
    metrics,
    oidc,
    openapi,
    pages,
    projects,
    session,
    sessions,
    static_files,
    status,
    stream_tickets,
    usage,
    voices,
)
from app.routing import AuthenticatedRoute, Endpoint

# Files alone: what is streamed must not wait in a compressor.
_PACKED = [Middleware(GZipMiddleware, compresslevel=6)]


def _page(path: str, endpoint: Endpoint) -> Route:
    return Route(path, endpoint, include_in_schema=False, middleware=_PACKED)


def _private(method: str, path: str, endpoint: Endpoint, *rates: Rate) -> Route:
    return AuthenticatedRoute(method, path, endpoint, *rates)


_CHAPTER = "/api/projects/{project}/chapters/{chapter}"

PUBLIC: list[BaseRoute] = [
    _page("/", pages.projects),
    _page("/signin", pages.sign_in),
    _page("/projects/{project}", pages.project),
    _page("/account", pages.account),
    _page("/docs", pages.docs),
    _page("/status", pages.status),
    Mount("/static", static_files.OwnFiles(directory=pages.STATIC), middleware=_PACKED),
    Route("/openapi.json", openapi.openapi),
    Route("/healthz", health.alive),
    Route("/readyz", health.ready),
    Route("/metrics", metrics.metrics),
    Route("/api/session", session.sign_in, methods=["POST"]),
    Route("/api/sign-in-options", oidc.options),
    Route("/auth/oidc/login", oidc.login),
    Route("/auth/oidc/callback", oidc.callback),
    Route("/auth/oidc/logout", oidc.logout),
]

PRIVATE: list[Route] = [
    # Routes are tried in this order: first what is asked for most.
    AuthenticatedRoute("GET", "/api/events", events.events, tickets=True, waits=True),
    _private("GET", "/api/jobs/{queue}/{job}", jobs.status),
    _private("GET", "/api/session", session.who),
    _private("DELETE", "/api/session", session.sign_out),
    _private("GET", "/api/sessions", sessions.all_of_user),
    _private("DELETE", "/api/sessions", sessions.end_others),
    _private("DELETE", "/api/sessions/{session}", sessions.end),
    _private("GET", "/api/account", account.show),
    _private("POST", "/api/account/password", account.change_password),
    _private("POST", "/api/account/second-factor", account.begin_second_factor),
    _private("POST", "/api/account/second-factor/enable", account.enable_second_factor),
    _private("POST", "/api/account/second-factor/disable", account.disable_second_factor),
    _private("POST", "/api/account/second-factor/recovery-codes", account.renew_recovery_codes),
    _private("GET", "/api/projects", projects.all_of_user),
    _private("POST", "/api/projects", projects.create, "uploads"),
    _private("GET", "/api/projects/{project}", projects.one),
    _private("PATCH", "/api/projects/{project}", projects.change),
    _private("DELETE", "/api/projects/{project}", projects.delete),
    _private("GET", "/api/projects/{project}/cover", projects.cover),
    _private("POST", "/api/projects/{project}/audio", chapters.narrate_all),
    _private("POST", "/api/projects/{project}/book", books.start),
    _private("GET", _CHAPTER, chapters.one),
    _private("PATCH", _CHAPTER, chapters.change),
    _private("POST", f"{_CHAPTER}/audio", chapters.narrate),
    _private("POST", f"{_CHAPTER}/split", chapters.split),
    _private("POST", f"{_CHAPTER}/merge", chapters.merge),
    _private("GET", f"{_CHAPTER}/report", chapters.report),
    _private("DELETE", "/api/jobs/{queue}/{job}", jobs.cancel),
    _private("POST", "/api/events/tickets", stream_tickets.issue),
    _private("GET", "/audios/{name}.mp3", audios.audio),
    _private("GET", "/books/{book}.m4b", books.m4b),
    _private("GET", "/books/{book}.zip", books.zip),
    _private("GET", "/api/voices", voices.voices),
    _private("GET", "/api/status", status.status),
    _private("GET", "/api/usage", usage.usage),
]

ROUTES: list[BaseRoute] = [*PRIVATE, *PUBLIC]
