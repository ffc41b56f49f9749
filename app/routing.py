"""Routes that check the credential before anything else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.auth.identity import identity_of, require_identity
from app.core.redis.rate_limiter import Rate
from app.state import State

Endpoint = Callable[[Request[State]], Awaitable[Response]]

_COUNTED = {"POST", "PATCH"}


class AuthenticatedRoute(Route):
    """One method of a path, behind a credential.

    Args:
        rates: what each request counts towards, beside `changes`, towards which each POST and PATCH does.
        tickets: whether `?ticket=` is a credential here.
        waits: whether a request may wait for events; it then holds no request slot of its user.
    """

    def __init__(
        self, method: str, path: str, endpoint: Endpoint, *rates: Rate, tickets: bool = False, waits: bool = False
    ) -> None:
        super().__init__(path, endpoint, methods=[method])
        self.rates: tuple[Rate, ...] = ("changes", *rates) if method in _COUNTED else rates
        self.tickets = tickets
        self.waits = waits
        self._endpoint = endpoint
        # Replaces Starlette's wrapper around an endpoint, which handles errors a second time.
        self.app = self._answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check who asks, then how often, then answer."""
        request: Request[State] = Request(scope, receive, send)
        await require_identity(request, tickets=self.tickets)
        if self.rates:
            await self._count(request)
        response = await (self._endpoint(request) if self.waits else self._in_slot(request))
        await response(scope, receive, send)

    async def _count(self, request: Request[State]) -> None:
        """Count a request of a known user towards its rates, before a byte of its body is read.

        What only reads is not counted: an answer from Redis costs no more than the counting would. Nor is `DELETE`:
        whoever has too much must always be able to have less, even where Redis is too full to count.

        Raises TooMany (`too_many_changes`, `too_many_uploads`) where a rate is spent, Unavailable (`redis_refused`).
        """
        await request.state["memory_headroom"].check()
        await request.state["rate_limiter"].count(identity_of(request).user, *self.rates)

    async def _in_slot(self, request: Request[State]) -> Response:
        """Make the response while the user has a slot; it is sent without one."""
        slots, user = request.state["request_slots"], identity_of(request).user
        slots.check(user)
        slot = request.scope["slot"] = slots.of(user)
        async with slot:
            return await self._endpoint(request)
