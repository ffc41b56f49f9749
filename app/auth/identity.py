"""Authenticates requests: one identity, whatever the credential, before anything is read."""

from __future__ import annotations

import time
from typing import cast

from starlette.requests import Request

from app.auth import audit_log, cookies, site_urls
from app.auth.credential import Credential, Identity
from app.auth.state import AuthStateT
from app.core.errors import Forbidden, Unauthenticated

_SAFE = {"GET", "HEAD", "OPTIONS"}
_EVENTS = {"ticket_used": "ticket_refused", "bad_token": "token_refused"}
_NEAR = {"none", "same-origin"}
_IN_URL = {"token", "access_token", "jwt"}


async def require_identity(request: Request[AuthStateT], *, tickets: bool) -> None:
    """Require a valid credential; `identity_of` then returns whose it is. `tickets`: whether `?ticket=` is accepted.
    Raises as `identify` does."""
    try:
        request.scope["identity"] = await identify(request, tickets=tickets)
    except Unauthenticated as error:
        _note(request, error)
        raise


def identity_of(request: Request[AuthStateT]) -> Identity:
    """Return who asks, after `require_identity`."""
    return cast(Identity, request.scope["identity"])


async def identify(request: Request[AuthStateT], *, tickets: bool = False) -> Identity:
    """Read the credential of a request: bearer token, session cookie, or a ticket if `tickets` are accepted.

    If a ticket is sent, it is the credential, whatever else comes with it.

    Raises Unauthenticated; Unavailable; Forbidden (`foreign_origin`) for a change that another site requests with the
    cookie.
    """
    if request.scope["query_string"]:
        site_urls.check_query(request)
        if _IN_URL & request.query_params.keys():
            raise Unauthenticated("A token belongs in the Authorization header, never in a URL.", code="token_in_url")
        if tickets and request.method == "GET" and (ticket := request.query_params.get("ticket")) is not None:
            return await request.state["tickets"].redeem(ticket)
    if given := request.headers.getlist("authorization"):
        if len(given) > 1:
            raise Unauthenticated("Send one Authorization header.", code="bad_scheme")
        return await _by_bearer(request, given[0])
    if cookie := cookies.read(request, cookies.SESSION):
        check_origin(request)
        return await _by_session(request, cookie)
    raise Unauthenticated("Sign in, or send a bearer token.")


async def _by_bearer(request: Request[AuthStateT], authorization: str) -> Identity:
    checked = time.monotonic()
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("Only bearer tokens are understood.", code="bad_scheme")
    bearer = await request.state["tokens"].verify(token.strip(" "))
    await request.state["disabled_users"].check(bearer.user, bearer.issued)
    credential = Credential(bearer.user, bearer.issued, key=bearer.key)
    return Identity(bearer.user, bearer.name, bearer.expires, credential, checked)


async def _by_session(request: Request[AuthStateT], cookie: str) -> Identity:
    checked = time.monotonic()
    session = await request.state["sessions"].find(cookie, audit_log.address_of(request))
    credential = Credential(session.user, session.created, session.digest)
    at_provider = bool(session.hint)
    return Identity(session.user, session.name, session.expires, credential, checked, at_provider=at_provider)


def check_origin(request: Request[AuthStateT]) -> None:
    """Check that a change with a cookie comes from our own pages, by `Origin` and `Sec-Fetch-Site`.

    Raises Forbidden (`foreign_origin`).
    """
    origin = request.headers.get("origin")
    if request.method in _SAFE or (origin is not None and origin in request.state["settings"].other_origins):
        return
    ours = origin is None or site_urls.is_ours(request, origin)
    if not ours or request.headers.get("sec-fetch-site", "none") not in _NEAR:
        audit_log.record("origin_refused", audit_log.address_of(request), reason="foreign_origin")
        raise Forbidden("This change was asked for by another site.", code="foreign_origin")


def _note(request: Request[AuthStateT], error: Unauthenticated) -> None:
    """Log a refused credential. Requests without any are not logged: browsers send them before signing in."""
    if error.code == "unauthenticated":
        return
    event = _EVENTS.get(error.code, "credential_refused")
    # The reason why a token is refused is for the log alone.
    because = str(error.__cause__) if error.code == "bad_token" and error.__cause__ else error.code
    audit_log.record(event, audit_log.address_of(request), reason=because)
