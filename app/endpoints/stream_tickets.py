"""`POST /api/events/tickets`: a ticket for `GET /api/events?ticket=…`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, WithJsonSchema
from starlette.requests import Request
from starlette.responses import Response

from app.auth.identity import identity_of
from app.core.errors import BadRequest, NotFound
from app.core.json_model import Model
from app.core.timestamps import moment
from app.endpoints.request_body import Body, read_json
from app.http.responses import reply
from app.openapi.operation import Answer, Operation, Operations
from app.openapi.parameters import ID
from app.state import State

ProjectId = Annotated[str, WithJsonSchema(dict(ID))]
"""What is no such id is as unknown as any other: 404."""


class WantedStream(Body):
    """Which projects the stream is to be about; all where none are named."""

    projects: list[ProjectId] = Field(default_factory=list)


class Ticket(Model):
    """A ticket, and until when it may be used."""

    ticket: str
    expires_at: str


async def issue(request: Request[State]) -> Response:
    """201 with `{ticket, expiresAt}`. Raises NotFound for a project that is not one's own."""
    wanted = await read_json(request, WantedStream) if "content-type" in request.headers else WantedStream()
    identity = identity_of(request)
    if len(wanted.projects) > request.state["settings"].max_projects:
        raise BadRequest("That is more projects than one can have.", code="too_many_projects")
    for project in set(wanted.projects):
        if await request.state["projects"].standing(identity.user, project) != "there":
            raise NotFound("There is no such project.")
    ticket = await request.state["tickets"].issue(identity, set(wanted.projects))
    return reply({"ticket": ticket.token, "expiresAt": moment(ticket.expires)}, 201)


OPERATIONS: Operations = {
    issue: Operation(
        "A ticket for one stream",
        description="For an EventSource of another site, which can send neither a token nor our cookie.",
        body=WantedStream,
        body_required=False,
        answers={201: Answer("The ticket.", Ticket)},
        problems={400: ["too_many_projects"], 404: ["not_found"]},
    ),
}
