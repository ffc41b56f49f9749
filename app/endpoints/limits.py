"""How often a user may ask for changes: settled before a byte of the request's body is read.

What only reads is not counted: an answer from Redis costs no more than the counting would. Nor is `DELETE`: whoever has
too much must always be able to have less, even where Redis is so full that it can count no longer.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.auth.identity import identity_of
from app.core.rates import Rate
from app.state import State


class Counted:
    """ASGI middleware behind `RequireIdentity`: each request counts towards `rates`, and is refused where one is spent.

    Raises TooMany (`too_many_changes`, `too_many_uploads`).
    """

    def __init__(self, app: ASGIApp, rates: tuple[Rate, ...]) -> None:
        self._app = app
        self._rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request[State](scope)
        await request.state["rates"].count(identity_of(request).user, *self._rates)
        await self._app(scope, receive, send)
