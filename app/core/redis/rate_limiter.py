"""How often a user may do a thing: counted in Redis, so that it holds over all web processes; and how much at once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Literal

from redis.asyncio import Redis

from app.core.errors import TooMany
from app.core.redis import keys
from app.core.settings import Settings

Rate = Literal["changes", "uploads"]

_RATE = files("app.core.redis").joinpath("lua/rate_limiter.lua").read_text()


class RateLimiter:
    """The rates of all users in one Redis."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._per_minute: dict[Rate, int] = {
            "changes": settings.max_changes_per_minute,
            "uploads": settings.max_uploads_per_minute,
        }
        self._script = redis.register_script(_RATE)

    async def count(self, user: str, *rates: Rate) -> None:
        """Counts one request towards each of `rates`, in one round trip.

        Raises TooMany (`too_many_changes`, `too_many_uploads`), which counts towards none; RedisError.
        """
        names = [keys.rate(user, rate) for rate in rates]
        spent, wait = await self._script(keys=names, args=[self._per_minute[rate] for rate in rates])
        if spent:
            rate = rates[spent - 1]
            raise TooMany(
                f"That is more than {self._per_minute[rate]} {rate} a minute; wait a little.",
                code=f"too_many_{rate}",
                retry_after=math.ceil(wait / 1000),
                limit=self._per_minute[rate],
            )


class InFlight:
    """How many large bodies of each user this process is receiving: each takes memory, or disk, until it has come."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._now: Counter[str] = Counter()

    @contextmanager
    def one(self, user: str) -> Iterator[None]:
        """One more while the context is open. Raises TooMany (`too_many_at_once`)."""
        if self._now[user] >= self._most:
            raise TooMany(
                f"That is more than {self._most} large requests at once; wait for one to end.",
                code="too_many_at_once",
                retry_after=5,
                limit=self._most,
            )
        self._now[user] += 1
        try:
            yield
        finally:
            self._now[user] -= 1
            if not self._now[user]:
                del self._now[user]
