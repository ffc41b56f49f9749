"""How often a user may ask for changes: settled before a byte of the request's body is read.

What only reads is not counted: an answer from Redis costs no more than the counting would. Nor is `DELETE`: whoever has
too much must always be able to have less, even where Redis is so full that it can count no longer.
"""

from __future__ import annotations

from starlette.requests import Request

from app.auth.identity import identity_of
from app.core.redis.rate_limiter import Rate
from app.state import State


async def count(request: Request[State], *rates: Rate) -> None:
    """Counts a request of somebody who is known by now towards `rates`.

    Raises TooMany (`too_many_changes`, `too_many_uploads`) where one is spent, Unavailable (`redis_refused`).
    """
    await request.state["headroom"].check()
    await request.state["rates"].count(identity_of(request).user, *rates)
