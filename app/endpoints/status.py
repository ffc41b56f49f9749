"""`/api/status`: how the service is, for administrators; `/status` shows it to them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.auth.identity import identity_of
from app.core.errors import Forbidden
from app.core.status.service import Status, status_of
from app.http.responses import reply
from app.openapi.operation import Answer, Operation, Operations
from app.state import State


async def status(request: Request[State]) -> Response:
    """Raises Forbidden (`not_admin`)."""
    check_admin(request)
    return reply(await status_of(request.state["settings"], request.state["redis"]))


def check_admin(request: Request[State]) -> None:
    """Raises Forbidden (`not_admin`)."""
    if identity_of(request).user not in request.state["settings"].admin_users:
        raise Forbidden("Only administrators may see this.", code="not_admin")


OPERATIONS: Operations = {
    status: Operation(
        "How the service is, for administrators",
        answers={200: Answer("The machine that was asked, the queues and Redis.", Status)},
        problems={403: ["not_admin"]},
    ),
}
