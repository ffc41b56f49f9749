"""`/api/session`: signing in with a password or a one-time link, signing out, who one is."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.auth.identity import check_origin, identity_of
from app.auth.sessions import COOKIE
from app.core.errors import Unprocessable
from app.endpoints.body import Body, read_json
from app.endpoints.replies import reply
from app.state import State


class SignIn(Body):
    """Name and password, or the token of a one-time link."""

    username: str | None = None
    password: str | None = None
    link: str | None = None


async def sign_in(request: Request[State]) -> Response:
    check_origin(request)
    asked = await read_json(request, SignIn)
    if asked.link:
        user = await request.state["sessions"].redeem(asked.link)
    elif asked.username and asked.password:
        user = await request.state["accounts"].check(asked.username, asked.password)
    else:
        raise Unprocessable("Send `username` and `password`, or `link`.")
    response = Response(status_code=204)
    await request.state["sessions"].start(user, response)
    return response


async def sign_out(request: Request[State]) -> Response:
    response = Response(status_code=204)
    if cookie := request.cookies.get(COOKIE):
        await request.state["sessions"].end(cookie, response)
    return response


async def who(request: Request[State]) -> Response:
    identity = identity_of(request)
    return reply({"user": identity.user, "name": identity.name})
