"""The pages: files of `static/`, each at an address of its own; what is in them they ask the API for."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from app.endpoints.static_files import own_file
from app.state import State

STATIC = Path(__file__).parents[2] / "static"


async def projects(request: Request[State]) -> Response:
    return own_file(STATIC / "index.html", request.scope)


async def project(request: Request[State]) -> Response:
    return own_file(STATIC / "project.html", request.scope)


async def sign_in(request: Request[State]) -> Response:
    return own_file(STATIC / "signin.html", request.scope)


async def account(request: Request[State]) -> Response:
    return own_file(STATIC / "account.html", request.scope)


async def docs(request: Request[State]) -> Response:
    return own_file(STATIC / "docs.html", request.scope)


async def status(request: Request[State]) -> Response:
    return own_file(STATIC / "status.html", request.scope)
