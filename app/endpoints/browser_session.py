"""What a browser is given when somebody has come in by it: a session, and a cookie by which it is known again."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.auth import audit_log, cookies, known_devices
from app.auth.signin import Caller
from app.state import State


def caller_of(request: Request[State]) -> Caller:
    """Who tries to come in, or to prove who they are."""
    return Caller(audit_log.address_of(request), cookies.read(request, cookies.DEVICE))


async def begin_session(
    request: Request[State], response: Response, user: str, *, name: str | None = None, token: str = "", hint: str = ""
) -> None:
    """Sign the browser in. The session that it came with ends: it must not outlive this, whoever began it."""
    sessions, address = request.state["sessions"], audit_log.address_of(request)
    former = cookies.read(request, cookies.SESSION)
    agent = request.headers.get("user-agent", "")
    made = await sessions.start(user, name=name, agent=agent, token=token, hint=hint, address=address)
    cookies.put(request, response, cookies.SESSION, made, sessions.seconds)
    if former and (ended := await sessions.end(former)):
        audit_log.record("signed_out", address, user=ended.user, reason="signed_in_again")


async def remember(request: Request[State], response: Response, user: str) -> None:
    """Know the browser again when `user` signs in with it."""
    token = await request.state["known_devices"].remember(user)
    cookies.put(request, response, cookies.DEVICE, token, known_devices.SECONDS)
