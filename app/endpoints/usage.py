"""`/api/usage`: what one has, and how much one may have; administrators may ask for others."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from app.auth.identity import identity_of
from app.core.json_model import Model
from app.endpoints.status import check_admin
from app.http.responses import reply
from app.openapi.operation import Answer, Operation, Operations, Parameter
from app.state import State


class Share(Model):
    """So much of at most so much."""

    used: int
    limit: int


class UsageOfUser(Model):
    """What a user has. `storageBytes`: manuscripts, texts, audio and books; `segmentBytes`: sound that is kept so that
    it need not be voiced again."""

    user: str
    projects: Share
    chapters: Share
    storage_bytes: Share
    segment_bytes: Share


async def usage(request: Request[State]) -> Response:
    """Raises Forbidden (`not_admin`) where another user is asked for."""
    own = identity_of(request).user
    # An id, which has no brace or slash whatever is sent.
    user = quote(request.query_params.get("user") or own, safe="@!%")
    if user != own:
        check_admin(request)
    settings = request.state["settings"]
    found = await request.state["projects"].usage.of(user)
    told = UsageOfUser(
        user=user,
        projects=Share(used=found.projects, limit=settings.max_projects),
        chapters=Share(used=found.chapters, limit=settings.max_chapters_per_user),
        storage_bytes=Share(used=found.bytes, limit=settings.max_storage_bytes_per_user),
        segment_bytes=Share(used=found.segment_bytes, limit=settings.max_segment_bytes_per_user),
    )
    return reply(told)


OPERATIONS: Operations = {
    usage: Operation(
        "What one has, and may have",
        parameters=(
            Parameter("user", {"type": "string"}, "Another user, for administrators; empty: oneself.", "query"),
        ),
        answers={200: Answer("The usage.", UsageOfUser)},
        problems={403: ["not_admin"]},
    ),
}
