"""`/healthz` and `/readyz`: whether the process lives, and whether it can serve."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.core.errors import Unavailable
from app.endpoints.replies import reply
from app.state import State


async def alive(request: Request[State]) -> Response:
    return reply({"status": "ok"})


async def ready(request: Request[State]) -> Response:
    """503 while draining, or while Redis or the storage cannot be used."""
    if request.state["drain"].started:
        raise Unavailable("This server is going away.", code="draining")
    await request.state["redis"].ping()
    await request.state["storage"].check()
    return reply({"status": "ok"})
