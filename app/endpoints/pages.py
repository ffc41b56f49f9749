"""The pages: files of `static/`, each at an address of its own; what is in them they ask the API for."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from app.state import State

STATIC = Path(__file__).parents[2] / "static"
_NO_CACHE = {"Cache-Control": "no-cache"}


async def projects(request: Request[State]) -> Response:
    return FileResponse(STATIC / "index.html", headers=_NO_CACHE)


async def project(request: Request[State]) -> Response:
    return FileResponse(STATIC / "project.html", headers=_NO_CACHE)


async def sign_in(request: Request[State]) -> Response:
    return FileResponse(STATIC / "signin.html", headers=_NO_CACHE)


async def docs(request: Request[State]) -> Response:
    return FileResponse(STATIC / "docs.html", headers=_NO_CACHE)


async def status(request: Request[State]) -> Response:
    return FileResponse(STATIC / "status.html", headers=_NO_CACHE)
