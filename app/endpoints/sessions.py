"""`/api/sessions`: the browsers that one is signed in with, and signing them out."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.auth import audit_log, cookies
from app.auth.identity import identity_of
from app.auth.sessions import Session
from app.core.json_model import Model
from app.core.timestamps import moment
from app.http.responses import reply
from app.openapi.operation import Answer, Operation, Operations
from app.state import State


class SignedIn(Model):
    """A browser that one is signed in with; `current` is the one that asks."""

    id: str
    created_at: str
    last_used_at: str
    expires_at: str
    user_agent: str
    address: str
    current: bool


class SignIns(Model):
    """One's sign-ins."""

    sessions: list[SignedIn]


async def all_of_user(request: Request[State]) -> Response:
    """`{sessions: [{id, createdAt, lastUsedAt, expiresAt, userAgent, address, current}]}`, the one that ends last
    first."""
    identity = identity_of(request)
    found = await request.state["sessions"].all(identity.user)
    return reply({"sessions": [_told(session, identity.credential.session) for session in found]})


async def end(request: Request[State]) -> Response:
    """Signs that browser out, and ends its streams: 204. Raises NotFound."""
    identity, response = identity_of(request), Response(status_code=204)
    ended = await request.state["sessions"].end_one(identity.user, request.path_params["session"])
    if ended.digest == identity.credential.session:
        cookies.clear(request, response, cookies.SESSION)
    audit_log.record("signed_out", audit_log.address_of(request), user=identity.user, reason="session_ended")
    return response


async def end_others(request: Request[State]) -> Response:
    """Signs all of one's other browsers out, and ends their streams: 204."""
    identity = identity_of(request)
    if await request.state["sessions"].end_others(identity.user, identity.credential.session):
        audit_log.record("signed_out", audit_log.address_of(request), user=identity.user, reason="other_sessions_ended")
    return Response(status_code=204)


def _told(session: Session, current: str | None) -> dict[str, Any]:
    return {
        "id": session.id,
        "createdAt": moment(session.created),
        "lastUsedAt": moment(session.used),
        "expiresAt": moment(session.expires),
        "userAgent": session.agent,
        "address": session.address,
        "current": session.digest == current,
    }


OPERATIONS: Operations = {
    all_of_user: Operation(
        "The browsers one is signed in with", answers={200: Answer("The one that ends last first.", SignIns)}
    ),
    end_others: Operation("Sign all other browsers out, and end their streams", answers={204: Answer("Signed out.")}),
    end: Operation("Sign a browser out, and end its streams", answers={204: Answer("Signed out.")}),
}
