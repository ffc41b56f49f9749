"""`/api/session`: signing in with a password or a one-time link, signing out, who one is."""

from __future__ import annotations

from pydantic import ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from app.auth import audit_log, cookies
from app.auth.identity import check_origin, identity_of
from app.core.errors import Unprocessable
from app.core.json_model import Model
from app.endpoints.browser_session import begin_session, caller_of, remember
from app.endpoints.request_body import Body, absent, read_json
from app.http.responses import reply
from app.openapi.operation import Answer, Operation, Operations, Parameter
from app.openapi.problems import REDIS
from app.state import State


class SignIn(Body):
    """Name and password, or the token of a one-time link; with a second factor its `code`, too."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["username", "password"]}, {"required": ["link"]}]}
    )

    username: str = Field(default_factory=absent, min_length=1)
    password: str = Field(default_factory=absent, min_length=1)
    link: str = Field(default_factory=absent, min_length=1)
    code: str = Field(default_factory=absent, min_length=1, max_length=64)


class Who(Model):
    """Who one is; `signOutUrl` where one has signed in at the OpenID provider."""

    user: str
    name: str
    sign_out_url: str | None = None


async def sign_in(request: Request[State]) -> Response:
    check_origin(request)
    asked = await read_json(request, SignIn)
    caller = caller_of(request)
    if asked.link:
        user = await request.state["sign_in"].by_link(asked.link, caller, asked.code)
    elif asked.username and asked.password:
        user = await request.state["sign_in"].by_password(asked.username, asked.password, caller, asked.code)
    else:
        raise Unprocessable("Send `username` and `password`, or `link`.")
    response = Response(status_code=204)
    await begin_session(request, response, user)
    await remember(request, response, user)
    return response


async def sign_out(request: Request[State]) -> Response:
    """Ends this sign-in and every stream of it, in all web processes, at once."""
    response = Response(status_code=204)
    if cookie := cookies.read(request, cookies.SESSION):
        session = await request.state["sessions"].end(cookie)
        cookies.clear(request, response, cookies.SESSION)
        audit_log.record("signed_out", audit_log.address_of(request), user=session.user if session else None)
    return response


async def who(request: Request[State]) -> Response:
    """`{user, name}`, and where to sign out at the provider too, for who has signed in there: `signOutUrl`."""
    identity = identity_of(request)
    more = {"signOutUrl": "/auth/oidc/logout"} if identity.at_provider else {}
    return reply({"user": identity.user, "name": identity.name} | more)


_COOKIE = Parameter("Set-Cookie", {"type": "string"}, "The session; HttpOnly.", required=True)

OPERATIONS: Operations = {
    sign_in: Operation(
        "Sign in by name and password, or by a one-time link",
        body=SignIn,
        answers={204: Answer("Signed in.", headers=(_COOKIE,))},
        problems={
            401: ["account_disabled", "bad_code", "bad_password", "link_used", "second_factor_required"],
            403: ["foreign_origin"],
            429: ["too_many_sign_ins"],
            503: ["too_busy", *REDIS],
        },
    ),
    sign_out: Operation(
        "Sign out, and end the streams of this sign-in",
        answers={204: Answer("Signed out.")},
    ),
    who: Operation("Who one is", answers={200: Answer("Oneself.", Who)}),
}
