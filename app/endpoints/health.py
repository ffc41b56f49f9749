"""`/healthz` and `/readyz`: whether the process lives, and whether it can serve."""

from __future__ import annotations

from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

from app.core.errors import Unavailable
from app.core.json_model import Model
from app.http.responses import reply
from app.openapi.operation import Answer, Operation, Operations
from app.openapi.problems import REDIS
from app.state import State


class Health(Model):
    """All is well."""

    status: Literal["ok"]


async def alive(request: Request[State]) -> Response:
    return reply({"status": "ok"})


async def ready(request: Request[State]) -> Response:
    """503 while draining, or while Redis or the storage cannot be used."""
    if request.state["drain"].started:
        raise Unavailable("This server is going away.", code="draining")
    await request.state["readiness"].check()
    return reply({"status": "ok"})


OPERATIONS: Operations = {
    alive: Operation("Whether the process lives", answers={200: Answer("It does.", Health)}),
    ready: Operation(
        "Whether it can serve",
        answers={200: Answer("It can: Redis and the storage are within reach, and it is not going away.", Health)},
        problems={503: ["draining", "storage_unavailable", *REDIS]},
    ),
}
