"""Who is asking: one identity, whichever way it came, settled before anything is read."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.auth.sessions import COOKIE
from app.core.errors import Forbidden, Unauthenticated
from app.state import State

_SAFE = {"GET", "HEAD", "OPTIONS"}
_IN_URL = {"token", "access_token", "jwt"}


@dataclass(frozen=True)
class Identity:
    """Who asks. `user` is safe in keys and paths; `expires` is in seconds of Unix time."""

    user: str
    name: str
    expires: float

    @property
    def seconds_left(self) -> float:
        return self.expires - time.time()


class RequireIdentity:
    """ASGI middleware: nobody passes without a credential that holds; `identity_of` then tells who it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["identity"] = await identify(Request[State](scope))
        await self._app(scope, receive, send)


def identity_of(request: Request[State]) -> Identity:
    """Who asks, on a route behind `RequireIdentity`."""
    return cast(Identity, request.scope["identity"])


async def identify(request: Request[State]) -> Identity:
    """Reads the credential of a request: bearer token or session cookie.

    Raises Unauthenticated; Forbidden (`foreign_origin`) for a change that another site asks for with the cookie.
    """
    if _IN_URL & request.query_params.keys():
        raise Unauthenticated("A token belongs in the Authorization header, never in a URL.", code="token_in_url")
    if authorization := request.headers.get("authorization"):
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated("Only bearer tokens are understood.", code="bad_scheme")
        bearer = await request.state["tokens"].verify(token.strip())
        return Identity(bearer.user, bearer.name, bearer.expires)
    if cookie := request.cookies.get(COOKIE):
        session = await request.state["sessions"].find(cookie)
        check_origin(request)
        return Identity(session.user, session.user, session.expires)
    raise Unauthenticated("Sign in, or send a bearer token.")


def check_origin(request: HTTPConnection[State]) -> None:
    """A browser adds the cookie by itself, whoever asked it to; the Origin says who did.

    Raises Forbidden (`foreign_origin`).
    """
    origin = request.headers.get("origin")
    if request.scope["method"] in _SAFE or origin is None:
        return
    if urlsplit(origin).netloc != request.headers.get("host"):
        raise Forbidden("This change was asked for by another site.", code="foreign_origin")
