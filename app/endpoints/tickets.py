"""`POST /api/events/tickets`: a ticket for `GET /api/events?ticket=…`."""

from __future__ import annotations

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from app.auth.identity import identity_of
from app.core.errors import BadRequest, NotFound
from app.core.models import moment
from app.endpoints.body import Body, read_json
from app.endpoints.replies import reply
from app.state import State


class Wanted(Body):
    """Which projects the stream is to be about; all where none are named."""

    projects: list[str] = Field(default_factory=list)


async def issue(request: Request[State]) -> Response:
    """201 with `{ticket, expiresAt}`. Raises NotFound for a project that is not one's own."""
    wanted = await read_json(request, Wanted) if "content-type" in request.headers else Wanted()
    identity = identity_of(request)
    if len(wanted.projects) > request.state["settings"].max_projects:
        raise BadRequest("That is more projects than one can have.", code="too_many_projects")
    for project in set(wanted.projects):
        if await request.state["projects"].standing(identity.user, project) != "there":
            raise NotFound("There is no such project.")
    ticket = await request.state["tickets"].issue(identity, set(wanted.projects))
    return reply({"ticket": ticket.token, "expiresAt": moment(ticket.expires)}, 201)
