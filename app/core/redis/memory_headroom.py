"""Whether Redis has room for more: something new is refused before it is full, so that what goes on can end."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.core.errors import Unavailable

_FULL = 0.9
"""Of `maxmemory`: the rest is for jobs that are under way, and for deleting."""
_LOOK_SECONDS = 1.0


class MemoryHeadroom:
    """The memory of one Redis, looked at once a second at most. Of a Redis without `maxmemory` all is well."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._looked = float("-inf")
        self._full = False

    async def check(self) -> None:
        """Raises Unavailable (`redis_refused`)."""
        now = time.monotonic()
        if now >= self._looked + _LOOK_SECONDS:
            self._looked = now
            # Whoever asks next is told by Redis itself.
            with suppress(RedisError, OSError):
                self._full = _is_full(await self._redis.info("memory"))
        if self._full:
            raise Unavailable(
                "The database is nearly full: nothing new can be taken just now. Deleting makes room.",
                code="redis_refused",
                retry_after=30,
            )


def _is_full(told: dict[str, Any]) -> bool:
    """A cluster tells it for each of its servers, and is not asked."""
    most = int(told.get("maxmemory", 0))
    return most > 0 and int(told["used_memory"]) > most * _FULL
