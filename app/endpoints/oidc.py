"""`/auth/oidc/…`: signing in at an OpenID provider, and out again; and `/api/sign-in-options`, which tells of it."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from functools import wraps
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.auth import audit_log, cookies, oidc, site_urls
from app.auth.oidc import PendingSignIn, Provider, ProviderUser
from app.auth.sealed_box import seal, unseal
from app.auth.signin import Caller
from app.core.errors import Forbidden, NotFound, Problem
from app.core.json_model import Model
from app.endpoints.browser_session import begin_session
from app.http.responses import reply
from app.openapi.operation import Answer, Operation, Operations, Parameter
from app.openapi.parameters import location
from app.openapi.problems import REDIS
from app.state import State

_COOKIE = "smartvoice_oidc"
_MAX_HINT = 8192

Endpoint = Callable[[Request[State]], Awaitable[Response]]


class SignInPlace(Model):
    """The OpenID provider, and where one goes to sign in there."""

    name: str
    url: str


class SignInOptions(Model):
    """How one may sign in."""

    password: bool
    oidc: SignInPlace | None


async def options(request: Request[State]) -> Response:
    """How one may sign in: `{password, oidc: {name, url} | null}`."""
    provider = request.state["provider"]
    told = None if provider is None else {"name": provider.name, "url": "/auth/oidc/login"}
    return reply({"password": True, "oidc": told})


def _for_people(endpoint: Endpoint) -> Endpoint:
    """A browser that comes by itself sees a refusal on the sign-in page, not as JSON."""

    @wraps(endpoint)
    async def told(request: Request[State]) -> Response:
        try:
            site_urls.check_query(request)
            return await endpoint(request)
        except Problem as problem:
            if request.state["provider"] is None or "text/html" not in request.headers.get("accept", ""):
                raise
            return RedirectResponse(f"/signin?{urlencode({'problem': problem.code})}", 303)

    return told


@_for_people
async def login(request: Request[State]) -> Response:
    """Sends the browser to the provider; `?next=` is where it goes afterwards, a path of this site."""
    provider = _provider(request)
    await request.state["sign_in"].at_provider(Caller(audit_log.address_of(request), None))
    browser = cookies.read(request, _COOKIE) or secrets.token_urlsafe(24)
    target = site_urls.path_on_site(request.query_params.get("next"))
    address = await provider.begin(PendingSignIn(browser, f"{site_urls.origin(request)}/auth/oidc/callback", target))
    response = RedirectResponse(address, 302, headers={"Cache-Control": "no-store"})
    cookies.put(request, response, _COOKIE, browser, oidc.SECONDS)
    return response


@_for_people
async def callback(request: Request[State]) -> Response:
    """Takes the browser back from the provider, and signs it in."""
    provider, address = _provider(request), audit_log.address_of(request)
    try:
        person = await provider.finish(dict(request.query_params), cookies.read(request, _COOKIE))
        await request.state["disabled_users"].let_in(person.user)
    except Problem as problem:
        audit_log.record("sign_in_refused", address, reason=problem.code)
        raise
    audit_log.record("signed_in", address, user=person.user, reason="oidc")
    return await _signed_in(request, person)


@_for_people
async def logout(request: Request[State]) -> Response:
    """Signs out here and at the provider; another site cannot send anybody here to be signed out."""
    provider = _provider(request)
    if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        raise Forbidden("Signing out was asked for by another site.", code="foreign_origin")
    cookie, target = cookies.read(request, cookies.SESSION), None
    session = await request.state["sessions"].end(cookie) if cookie else None
    if cookie and session:
        audit_log.record("signed_out", audit_log.address_of(request), user=session.user, reason="oidc")
        hint = unseal(cookie, session.hint)
        target = await provider.farewell(hint, f"{site_urls.origin(request)}/signin") if hint else None
    response = RedirectResponse(target or "/signin", 303, headers={"Cache-Control": "no-store"})
    cookies.clear(request, response, cookies.SESSION)
    return response


async def _signed_in(request: Request[State], person: ProviderUser) -> Response:
    token = secrets.token_urlsafe(32)
    hint = seal(token, person.hint) if len(person.hint) <= _MAX_HINT else ""
    response = RedirectResponse(person.target, 303, headers={"Cache-Control": "no-store"})
    await begin_session(request, response, person.user, name=person.name, token=token, hint=hint)
    cookies.clear(request, response, _COOKIE)
    return response


def _provider(request: Request[State]) -> Provider:
    provider = request.state["provider"]
    if provider is None:
        raise NotFound("No OpenID provider is configured here.")
    return provider


_TO_SIGN_IN = "Refused, and a browser is sent to the sign-in page, which says why."
_AWAY = ["provider_unavailable", *REDIS]

OPERATIONS: Operations = {
    options: Operation("How one may sign in", answers={200: Answer("The ways.", SignInOptions)}),
    login: Operation(
        "Sign in at the OpenID provider",
        parameters=(Parameter("next", {"type": "string"}, "Where to go afterwards: a path of this site.", "query"),),
        answers={
            302: Answer("On to the provider.", headers=(location("^https?://", "The provider."),)),
            303: Answer(_TO_SIGN_IN, headers=(location("^/signin", "The sign-in page."),)),
        },
        problems={400: ["bad_query"], 404: ["not_found"], 429: ["too_many_sign_ins"], 503: ["too_busy", *_AWAY]},
    ),
    callback: Operation(
        "Come back from the OpenID provider",
        description="The provider sends browsers here; nobody else has a reason to come.",
        parameters=(
            Parameter("state", {"type": "string"}, "What the sign-in began with.", "query"),
            Parameter("code", {"type": "string"}, "What the provider lets us in for.", "query"),
        ),
        answers={303: Answer("Signed in, or refused: on to a page.", headers=(location("^/", "A page of ours."),))},
        problems={
            400: ["bad_query", "bad_state"],
            401: ["account_disabled", "provider_refused"],
            404: ["not_found"],
            503: _AWAY,
        },
    ),
    logout: Operation(
        "Sign out here and at the OpenID provider",
        answers={303: Answer("Signed out: on to a page.", headers=(location("^(/|https?://)", "Where to."),))},
        problems={400: ["bad_query"], 403: ["foreign_origin"], 404: ["not_found"], 503: _AWAY},
    ),
}
